"""Disentangled attention as one differentiable function, without gathers.

Shapes: N examples, H heads, T tokens, d width of a head, D = H d, R = 2T columns for the distances -(T-1)..T-1 and one
of padding.

The score of query i and key j is `s (q_i.k_j + q_i.P_k[i-j] + k_j.P_q[i-j])` (He et al. 2021,
https://arxiv.org/abs/2006.03654, equation 4). `q @ P_k^T` and `k @ P_q^T` hold every query and every key against every
distance. What row i needs of the first are T neighbouring columns, which move by one from row to row, so the term is
a view of the product with a row stride of R - 1; so is the transpose of the second. (This is the relative shift of
Transformer-XL, Dai et al. 2019, https://arxiv.org/abs/1901.02860, appendix B, without its copy.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .cpu_kernels import apply_mask, keep_mask, kept_fraction, softmax, softmax_gradient

_CHUNK_BYTES = 2**20  # of scores; a few such arrays stay in a core's cache


@dataclass(frozen=True)
class AttentionMask:
    """What may be attended to in a padded batch.

    A query that is padding attends to all T tokens alike, as in transformers, whose outputs at padding this keeps.

    Attributes:
        queries: bool, shape (N, T): tokens that are no padding.
        blocked: bool, shape (N, T, T): pairs of which one is padding.
        added: shape (N, T, T), in the type of the scores: 0, or a large negative number where `blocked`.
    """

    queries: Tensor
    blocked: Tensor
    added: Tensor

    @classmethod
    def of(cls, queries: Tensor, dtype: torch.dtype) -> AttentionMask:
        """The mask of texts whose tokens are `queries`, bool (N, T), for scores of type `dtype`."""
        blocked = ~(queries.unsqueeze(1) & queries.unsqueeze(2))
        lowest = torch.finfo(dtype).min
        # half of it in float16, where adding a score could overflow to infinity and give NaN
        value = lowest / 2 if dtype == torch.float16 else lowest
        added = torch.zeros(blocked.shape, dtype=dtype, device=queries.device).masked_fill_(blocked, value)
        return cls(queries, blocked, added)


@dataclass(frozen=True)
class AttentionOptions:
    """Number of heads, factor of the scores and dropout probability of the attention weights."""

    heads: int
    scale: float
    dropout: float


def shifted_rows(product: Tensor) -> Tensor:
    """Of `product`, contiguous (..., T, R), row i the T columns from T - 1 - i on: a view of shape (..., T, T)."""
    length, columns = product.shape[-2:]
    flat = product.flatten(-2)[..., length - 1 : length - 1 + length * (columns - 1)]
    return flat.unflatten(-1, (length, columns - 1))[..., :length]


class DisentangledAttention(torch.autograd.Function):
    """Attention of queries, keys and values, each (N, T, D), with position tables of shape (R, D) or None.

    `pos_key` has its rows by falling distance T-1..-(T-1), `pos_query` by rising distance. A few heads at a time are
    computed from start to end, so that their scores stay in the cache.
    """

    @staticmethod
    def forward(  # noqa: PLR0917  (autograd passes arguments by position)
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        pos_key: Tensor | None,
        pos_query: Tensor | None,
        mask: AttentionMask | None,
        options: AttentionOptions,
    ) -> Tensor:
        """The attended values, shape (N, T, D)."""
        result = torch.empty_like(query)
        kept = kept_fraction(query, options.dropout) if options.dropout else 1.0
        tables = [None if table is None else table.unsqueeze(0) for table in (pos_key, pos_query)]
        saved: list[_Saved] = []
        with torch.autocast(query.device.type, enabled=False):
            for part in _parts(query, options.heads):
                q, k, v, table_k, table_q = (_split(x, part) for x in (query, key, value, *tables))
                q.mul_(options.scale)
                if table_q is not None:
                    table_q.mul_(options.scale)
                weights = softmax(_scores(q, k, table_k, table_q, mask))
                drawn = keep_mask(weights, options.dropout) if options.dropout else None
                _join(torch.bmm(_flat(_dropped(weights, drawn)), _flat(v)).view_as(v), result, part, 1.0 / kept)
                saved.append(_Saved(q, k, v, table_k, table_q, weights, drawn))
        ctx.save_for_backward(*(x for heads in saved for x in heads))
        ctx.mask, ctx.options, ctx.kept = mask, options, kept
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the five tensors."""
        flat = ctx.saved_tensors
        size = len(_Saved._fields)
        saved = [_Saved(*flat[start : start + size]) for start in range(0, len(flat), size)]
        targets: list[Tensor | None] = [torch.empty_like(grad) for _ in range(3)]
        for table in (saved[0].table_k, saved[0].table_q):
            targets.append(None if table is None else grad.new_empty((1, table.shape[-2], grad.shape[-1])))
        scale = ctx.options.scale
        with torch.autocast(grad.device.type, enabled=False):
            # the scores of a padding query are constants
            scored = grad if ctx.mask is None else grad * ctx.mask.queries.unsqueeze(-1).to(grad.dtype)
            for part, heads in zip(_parts(grad, ctx.options.heads), saved, strict=True):
                g = _split(grad, part).mul_(1.0 / ctx.kept)
                g_scored = g if ctx.mask is None else _split(scored, part).mul_(1.0 / ctx.kept)
                found = _gradients(heads, g, g_scored)
                for x, target, factor in zip(found, targets, (scale, 1.0, 1.0, 1.0, scale), strict=True):
                    if x is not None and target is not None:
                        _join(x, target, part, factor)
        return (*targets[:3], *(None if table is None else table.squeeze(0) for table in targets[3:]), None, None)


class _Saved(NamedTuple):
    """Of some heads, what the backward pass needs; `q` and `table_q` are scaled, `drawn` is dropout's mask."""

    q: Tensor
    k: Tensor
    v: Tensor
    table_k: Tensor | None
    table_q: Tensor | None
    weights: Tensor
    drawn: Tensor | None


def _scores(q: Tensor, k: Tensor, table_k: Tensor | None, table_q: Tensor | None, mask: AttentionMask | None) -> Tensor:
    """Scores, shape (H, N, T, T), of q and k (H, N, T, d) and tables (H, 1, R, d)."""
    heads, batch, length, _ = q.shape
    total: Tensor | None = None
    if table_q is not None:
        product = torch.bmm(k.flatten(1, 2), table_q.squeeze(1).transpose(1, 2))
        total = shifted_rows(product.view(heads, batch, length, -1)).transpose(-1, -2).contiguous()
    if table_k is not None:
        product = torch.bmm(q.flatten(1, 2), table_k.squeeze(1).transpose(1, 2))
        # to add a view whose rows are no multiple of a vector is slower than to copy it first
        shifted = shifted_rows(product.view(heads, batch, length, -1)).contiguous()
        total = shifted if total is None else total.add_(shifted)
    if total is None:
        total = torch.bmm(_flat(q), _flat(k).transpose(1, 2)).view(heads, batch, length, length)
    else:
        _flat(total).baddbmm_(_flat(q), _flat(k).transpose(1, 2))
    return total if mask is None else total.add_(mask.added)


def _dropped(weights: Tensor, drawn: Tensor | None) -> Tensor:
    return weights if drawn is None else apply_mask(weights, drawn)


def _gradients(saved: _Saved, grad: Tensor, grad_scored: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of q, k, v and the tables."""
    q, k, v, table_k, table_q, weights, drawn = saved
    grad_v = torch.bmm(_flat(_dropped(weights, drawn)).transpose(1, 2), _flat(grad)).view_as(v)
    grad_weights = torch.bmm(_flat(grad_scored), _flat(v).transpose(1, 2)).view_as(weights)
    grad_scores = softmax_gradient(_dropped(grad_weights, drawn), weights)
    grad_q, grad_table_k = _through_positions(grad_scores, q, table_k)
    grad_k, grad_table_q = _through_positions(grad_scores.transpose(-1, -2), k, table_q)
    _flat(grad_q).baddbmm_(_flat(grad_scores), _flat(k))
    _flat(grad_k).baddbmm_(_flat(grad_scores).transpose(1, 2), _flat(q))
    return grad_q, grad_k, grad_v, grad_table_k, grad_table_q


def _through_positions(grad_scores: Tensor, x: Tensor, table: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Through `shifted_rows(x @ table^T)`: gradients of x, shape (H, N, T, d), and of the table, (H, 1, R, d)."""
    if table is None:
        return torch.zeros_like(x), None
    heads, batch, length, _ = x.shape
    product = grad_scores.new_zeros((heads, batch, length, table.shape[-2]))
    shifted_rows(product).copy_(grad_scores)
    columns = product.flatten(1, 2)
    grad_table = torch.bmm(columns.transpose(1, 2), x.flatten(1, 2)).unsqueeze(1)
    return torch.bmm(columns, table.squeeze(1)).view_as(x), grad_table


class _Part(NamedTuple):
    """Heads `start:stop` of `heads`."""

    start: int
    stop: int
    heads: int


def _parts(x: Tensor, heads: int) -> Iterator[_Part]:
    """As many heads at a time as have scores of `_CHUNK_BYTES`; all of them where there is no cache to mind."""
    batch, length, _ = x.shape
    bytes_per_head = batch * length * length * x.element_size()
    step = min(heads, max(1, _CHUNK_BYTES // bytes_per_head)) if x.device.type == "cpu" else heads
    for start in range(0, heads, step):
        yield _Part(start, min(start + step, heads), heads)


def _split(x: Tensor | None, part: _Part) -> Any:
    """Heads of a part of (N, T, D), as contiguous (H, N, T, d)."""
    if x is None:
        return None
    view = x.view(x.shape[0], x.shape[1], part.heads, -1)[:, :, part.start : part.stop].permute(2, 0, 1, 3)
    # not `contiguous`, which for one head may return a view of `x`
    return torch.empty(view.shape, dtype=x.dtype, device=x.device).copy_(view)


def _join(x: Tensor, target: Tensor, part: _Part, scale: float) -> None:
    """Write (H, N, T, d), times `scale`, into the heads of a part of (N, T, D)."""
    view = target.view(*target.shape[:2], part.heads, -1)[:, :, part.start : part.stop]
    torch.mul(x.permute(1, 2, 0, 3), scale, out=view)


def _flat(x: Tensor) -> Tensor:
    return x.flatten(0, 1)
