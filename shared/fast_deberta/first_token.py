"""A classifier on the first token needs of its last layer that token alone: exact, and most of a layer less to compute.

Shapes: N examples, H heads, T tokens, d width of a head, D = H d.

Where the projections are plain linear layers, not even the keys and values `W x_j + b` of all tokens j are made. What a
vector u asks of a key is `u.(W x_j + b) = (W^T u).x_j + u.b`, and values mixed with weights w_j are
`W sum_j(w_j x_j) + b sum_j(w_j)`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from transformers.models.deberta_v2 import modeling_deberta_v2 as stock

from .cpu_kernels import FastLinear
from .relative_positions import first_token_rows

_POSITIONAL = 6
"""Arguments of a classifier that come before those that ask for every token's states."""


class DebertaV2ForSequenceClassification(stock.DebertaV2ForSequenceClassification):
    """Transformers' classifier, whose encoder computes only the first token's last state.

    It has the name of the class in transformers, which is what `save_pretrained` writes into a configuration.
    """

    @functools.wraps(stock.DebertaV2ForSequenceClassification.forward)  # its signature is read by trainers
    def forward(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """As the base class."""
        encoder: Any = self.deberta.encoder
        encoder.first_token_only = len(args) <= _POSITIONAL and not self._wants_states(kwargs)
        try:
            return super().forward(*args, **kwargs)
        finally:
            encoder.first_token_only = False

    def _wants_states(self, options: dict[str, Any]) -> bool:
        given = options.get("output_hidden_states")
        return bool(self.config.output_hidden_states if given is None else given)


@dataclass  # frozen ones are beyond the compiler of torch 2.11, in whose graphs this is made
class FirstTokenAttention:
    """The first row of `DisentangledAttention`.

    Attributes:
        heads: H.
        scale: of the scores.
        dropout: of the attention weights.
    """

    heads: int
    scale: float
    dropout: nn.Module

    def __call__(  # noqa: PLR0917  (called like the attention of all tokens)
        self,
        query: Tensor,
        states: Tensor,
        key: nn.Module,
        value: nn.Module,
        pos_key: Tensor | None,
        pos_query: Tensor | None,
        blocked: Tensor | None,
    ) -> Tensor:
        """The first token's attended values, shape (N, 1, D).

        Args:
            query: of the first token, shape (N, 1, D).
            states: of all tokens, shape (N, T, D).
            key: projects them.
            value: see `key`.
            pos_key: shape (2T, D), rows by falling distance, or None.
            pos_query: shape (2T, D), rows by rising distance, or None.
            blocked: bool, shape (N, T): what the first token may not attend to; None where nothing is padding.
        """
        pos_key, pos_query = first_token_rows(pos_key, pos_query, states.shape[1])
        q = self._split(query.squeeze(1)) * self.scale
        p = None if pos_query is None else self._split(pos_query) * self.scale
        scores = self._of_states(q, p, states, key) if _is_plain(key) else self._of_keys(q, p, key(states))
        if pos_key is not None:
            scores = scores + torch.einsum("nhd,thd->nht", q, self._split(pos_key))
        if blocked is not None:
            scores = scores.masked_fill(blocked.unsqueeze(1), torch.finfo(scores.dtype).min)
        weights = self.dropout(torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype))
        return self._attended(weights, states, value).flatten(1).unsqueeze(1)

    def _of_keys(self, q: Tensor, p: Tensor | None, keys: Tensor) -> Tensor:
        """What queries q (N, H, d) and positions p (T, H, d) ask of all keys (N, T, D): scores (N, H, T)."""
        k = self._split(keys)
        scores = torch.einsum("nhd,nthd->nht", q, k)
        return scores if p is None else scores + torch.einsum("thd,nthd->nht", p, k)

    def _of_states(self, q: Tensor, p: Tensor | None, states: Tensor, key: nn.Linear) -> Tensor:
        """As `_of_keys`, of states (N, T, D) whose keys `key` would make."""
        weight, bias = self._by_head(key, q.dtype)
        scores = torch.bmm(torch.einsum("nhd,hdw->nhw", q, weight), states.transpose(1, 2))
        scores = scores + torch.einsum("nhd,hd->nh", q, bias).unsqueeze(-1)
        if p is None:
            return scores
        scores = scores + torch.einsum("thw,ntw->nht", torch.einsum("thd,hdw->thw", p, weight), states)
        return scores + torch.einsum("thd,hd->ht", p, bias)

    def _attended(self, weights: Tensor, states: Tensor, value: nn.Module) -> Tensor:
        """Values mixed by weights (N, H, T): (N, H, d)."""
        if not _is_plain(value):
            return torch.einsum("nht,nthd->nhd", weights, self._split(value(states)))
        weight, bias = self._by_head(value, weights.dtype)
        mixed = torch.einsum("nhw,hdw->nhd", torch.bmm(weights, states), weight)
        return mixed + weights.sum(-1, keepdim=True) * bias

    def _by_head(self, layer: nn.Linear, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Weight (H, d, D) and bias (H, d)."""
        return tuple(x.to(dtype).unflatten(0, (self.heads, -1)) for x in (layer.weight, layer.bias))  # type: ignore[return-value]

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1))


def _is_plain(layer: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether `layer` is no more than its weight and bias: nothing wraps it, listens to it or keeps them elsewhere."""
    hooks = layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks
    return type(layer) in (nn.Linear, FastLinear) and layer.bias is not None and not hooks
