"""Disentangled attention as one differentiable function, without gathers.

Shapes: N examples, H heads, T tokens, d width of a head, D = H d, R = 2T columns for the distances -(T-1)..T-1 and one
of padding.

The score of query i and key j is `s (q_i.k_j + q_i.P_k[i-j] + k_j.P_q[i-j])`. `q @ P_k^T` and `k @ P_q^T` hold every
query and key against every distance; as row i of the first needs the columns that start at distance i, and these shift by
one from row to row, the terms are views of the products with a row stride of R - 1 (the relative shift of
Transformer-XL, Dai et al. 2019, https://arxiv.org/abs/1901.02860, appendix B, without its copy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class AttentionMask:
    """What may be attended to: `pairs`, bool (N, T, T), and the queries that are no padding, `queries`, (N, T)."""

    pairs: Tensor
    queries: Tensor


@dataclass(frozen=True)
class Options:
    """Numbers of heads, scale of the scores and dropout probability of the attention weights."""

    heads: int
    scale: float
    dropout: float


def shifted_rows(product: Tensor) -> Tensor:
    """Of `product`, contiguous (..., T, R), row i the T columns from T - 1 - i on: a view of shape (..., T, T)."""
    *batch, length, columns = product.shape
    strides = [*product.stride()[:-2], columns - 1, 1]
    return product.as_strided([*batch, length, length], strides, product.storage_offset() + length - 1)


class DisentangledAttention(torch.autograd.Function):
    """Attention of queries, keys and values, each (N, T, D), with position tables of shape (R, D) or None.

    `pos_key` has its rows by falling distance T-1..-(T-1), `pos_query` by rising distance.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        pos_key: Tensor | None,
        pos_query: Tensor | None,
        mask: AttentionMask | None,
        options: Options,
    ) -> Tensor:
        """The attended values, shape (N, T, D)."""
        batch, length, width = query.shape
        heads, scale = options.heads, options.scale
        with torch.autocast(query.device.type, enabled=False):
            q, k, v = _split(query, heads, scale), _split(key, heads), _split(value, heads)
            table_k = None if pos_key is None else _split_table(pos_key, heads)
            table_q = None if pos_query is None else _split_table(pos_query, heads, scale)
            scores = _scores(q, k, table_k, table_q)
            if mask is not None:
                scores.masked_fill_(~mask.pairs, torch.finfo(scores.dtype).min)
            weights = torch.softmax(scores, dim=-1)
            dropped = torch.dropout(weights, options.dropout, True) if options.dropout else weights
            attended = torch.bmm(_flat(dropped), _flat(v)).view_as(v)
            result = _merge(attended)
        ctx.save_for_backward(q, k, v, table_k, table_q, weights, dropped, attended)
        ctx.mask, ctx.options = mask, options
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the five tensors."""
        q, k, v, table_k, table_q, weights, dropped, attended = ctx.saved_tensors
        heads, scale = ctx.options.heads, ctx.options.scale
        with torch.autocast(q.device.type, enabled=False):
            g = _split(grad, heads)
            grad_v = torch.bmm(_flat(dropped).transpose(1, 2), _flat(g)).view_as(v)
            if ctx.mask is not None:
                # the scores of a padding query are constants
                g = g * ctx.mask.queries.unsqueeze(-1).to(g.dtype)
            # softmax: dS = W' * (g v^T) - W * sum(g * out), with W' the weights after dropout
            grad_scores = torch.bmm(_flat(g), _flat(v).transpose(1, 2)).view_as(weights)
            grad_scores.mul_(dropped)
            grad_scores.addcmul_(weights, (g * attended).sum(-1, keepdim=True), value=-1)
            grad_q, grad_pos_key = _position_gradients(grad_scores, q, table_k)
            grad_k, grad_pos_query = _position_gradients(grad_scores.transpose(-1, -2), k, table_q)
            _accumulate(grad_q, _flat(grad_scores), _flat(k))
            _accumulate(grad_k, _flat(grad_scores).transpose(1, 2), _flat(q))
            return (
                _merge(grad_q, scale),
                _merge(grad_k),
                _merge(grad_v),
                None if grad_pos_key is None else _merge_table(grad_pos_key),
                None if grad_pos_query is None else _merge_table(grad_pos_query, scale),
                None,
                None,
            )


def _scores(q: Tensor, k: Tensor, table_k: Tensor | None, table_q: Tensor | None) -> Tensor:
    """Scores, shape (H, N, T, T), of q and k (H, N, T, d) and tables (H, R, d); q and `table_q` are scaled."""
    heads, batch, length, _ = q.shape
    bias: Tensor | None = None
    if table_k is not None:
        product = torch.bmm(q.flatten(1, 2), table_k.transpose(1, 2))
        bias = shifted_rows(product.view(heads, batch, length, -1))
    if table_q is not None:
        product = torch.bmm(k.flatten(1, 2), table_q.transpose(1, 2))
        shifted = shifted_rows(product.view(heads, batch, length, -1)).transpose(-1, -2)
        bias = shifted if bias is None else bias + shifted
    if bias is None:
        return torch.bmm(_flat(q), _flat(k).transpose(1, 2)).view(heads, batch, length, length)
    scores = bias.contiguous()
    _flat(scores).baddbmm_(_flat(q), _flat(k).transpose(1, 2))
    return scores


def _position_gradients(grad_scores: Tensor, x: Tensor, table: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Through `shifted_rows(x @ table^T)`: gradients of x, shape (H, N, T, d), and of the table, (H, R, d)."""
    if table is None:
        return torch.zeros_like(x), None
    heads, batch, length, _ = x.shape
    product = grad_scores.new_zeros((heads, batch, length, table.shape[1]))
    shifted_rows(product).copy_(grad_scores)
    flat = product.flatten(1, 2)
    return torch.bmm(flat, table).view_as(x), torch.bmm(flat.transpose(1, 2), x.flatten(1, 2))


def _accumulate(total: Tensor, left: Tensor, right: Tensor) -> None:
    _flat(total).baddbmm_(left, right)


def _split(x: Tensor, heads: int, scale: float = 1.0) -> Tensor:
    """(N, T, D) as contiguous (H, N, T, d), times `scale`."""
    batch, length, width = x.shape
    view = x.view(batch, length, heads, width // heads).permute(2, 0, 1, 3)
    result = torch.empty(view.shape, dtype=x.dtype, device=x.device)
    return torch.mul(view, scale, out=result) if scale != 1.0 else result.copy_(view)


def _merge(x: Tensor, scale: float = 1.0) -> Tensor:
    """(H, N, T, d) as contiguous (N, T, D), times `scale`."""
    heads, batch, length, size = x.shape
    result = torch.empty((batch, length, heads, size), dtype=x.dtype, device=x.device)
    view = x.permute(1, 2, 0, 3)
    result = torch.mul(view, scale, out=result) if scale != 1.0 else result.copy_(view)
    return result.view(batch, length, heads * size)


def _split_table(table: Tensor, heads: int, scale: float = 1.0) -> Tensor:
    """(R, D) as contiguous (H, R, d), times `scale`."""
    return _split(table.unsqueeze(0), heads, scale).squeeze(1)


def _merge_table(table: Tensor, scale: float = 1.0) -> Tensor:
    """(H, R, d) as (R, D), times `scale`."""
    return _merge(table.unsqueeze(1), scale).squeeze(0)


def _flat(x: Tensor) -> Tensor:
    return x.flatten(0, 1)
