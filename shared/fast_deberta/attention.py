"""A drop-in for the attention of Hugging Face's DeBERTa-v2 and v3: the same function, several times faster.

The stock attention projects all relative positions in every layer for every example, multiplies all tokens with all of
them and gathers what it needs. Here only the distances that occur in a batch are projected, once a layer, for all
examples together, and nothing is gathered. Modules keep their parameters and names: only their classes change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.deberta_v2.modeling_deberta_v2 import (
    DebertaV2Encoder,
    DebertaV2ForSequenceClassification,
    DebertaV2Model,
    DisentangledSelfAttention,
)

from .cpu_kernels import FastDropout, FastLinear, is_traced
from .disentangled import AttentionMask, AttentionOptions, DisentangledAttention
from .first_token import DebertaV2ForSequenceClassification as FastClassifier
from .first_token import FirstTokenAttention
from .fused_attention import fused_attention
from .relative_positions import RelativeRows, relative_rows, score_scale


def use_fast_attention(model: nn.Module) -> int:
    """Replace the attention of every DeBERTa-v2 layer in `model`; the number replaced, 0 for other encoders."""
    _exchange(model, DebertaV2Encoder, FastEncoder)
    _exchange(model, DebertaV2ForSequenceClassification, FastClassifier)
    for encoder in [module for module in model.modules() if isinstance(module, DebertaV2Model)]:
        _exchange(encoder, nn.Dropout, FastDropout)
        _exchange(encoder, nn.Linear, FastLinear)
    return _exchange(model, DisentangledSelfAttention, FastSelfAttention)


def use_stock_attention(model: nn.Module) -> int:
    """Undo `use_fast_attention`; the number of layers restored."""
    _exchange(model, FastEncoder, DebertaV2Encoder)
    _exchange(model, FastClassifier, DebertaV2ForSequenceClassification)
    _exchange(model, FastDropout, nn.Dropout)
    _exchange(model, FastLinear, nn.Linear)
    return _exchange(model, FastSelfAttention, DisentangledSelfAttention)


def _exchange(model: nn.Module, old: type[nn.Module], new: type[nn.Module]) -> int:
    found = [module for module in model.modules() if type(module) is old]
    for module in found:
        module.__class__ = new
    return len(found)


def _attention_on(device: torch.device) -> Callable[..., Tensor]:
    # on a CPU the fused kernel has no gradient of its bias, and without gradients is no faster
    on_cpu = device.type == "cpu" and not torch.compiler.is_compiling()
    return DisentangledAttention.apply if on_cpu else fused_attention  # type: ignore[no-any-return]


def _compute_dtype(x: Tensor) -> torch.dtype:
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


@dataclass(frozen=True)
class Prepared:
    """What the layers of one forward pass share; it travels in the place of transformers' `relative_pos`."""

    rows: RelativeRows | None
    mask: AttentionMask | None


class FastEncoder(DebertaV2Encoder):
    """`DebertaV2Encoder` that prepares masks and relative rows once for all layers.

    Attributes:
        first_token_only: whether the last layer is computed for the first token alone; then its states are (N, 1, D).
    """

    first_token_only = False

    def forward(  # noqa: PLR0917  (the signature of the base class)
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        output_hidden_states: bool = True,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: Tensor | None = None,
        return_dict: bool = True,
    ) -> Any:
        """As the base class; it hands over to it whatever is beyond plain self-attention."""
        plain = query_states is None and relative_pos is None and attention_mask.dim() == 2 and not output_attentions
        if not plain or is_traced():
            return super().forward(
                hidden_states,
                attention_mask,
                output_hidden_states=output_hidden_states,
                output_attentions=output_attentions,
                query_states=query_states,
                relative_pos=relative_pos,
                return_dict=return_dict,
            )
        prepared, table = self._prepare(hidden_states, attention_mask)
        states, every = hidden_states, [hidden_states]
        for index, layer in enumerate(self.layer):
            # by position, so that re-entrant checkpointing sees the table as an input
            output, _ = layer(states, attention_mask, self._queries(index, states), prepared, table, False)
            if index == 0 and self.conv is not None:
                output = self.conv(hidden_states, output, attention_mask)
            states = output
            every.append(states)
        kept = tuple(every) if output_hidden_states else None
        if not return_dict:
            return tuple(part for part in (states, kept) if part is not None)
        return BaseModelOutput(last_hidden_state=states, hidden_states=kept)  # type: ignore[arg-type]

    def _queries(self, index: int, states: Tensor) -> Tensor | None:
        """States of the tokens that a layer is computed for; None for all of them."""
        mixed = index == 0 and self.conv is not None  # with the tokens beside it
        if not self.first_token_only or index < len(self.layer) - 1 or mixed:
            return None
        # products of few rows that lie far apart differ in their last bits from process to process
        return states[:, :1].contiguous()

    def _prepare(self, states: Tensor, attention_mask: Tensor) -> tuple[Prepared, Tensor | None]:
        queries = attention_mask.bool()
        # reading the mask costs nothing on a CPU and a synchronisation elsewhere
        padded = states.device.type != "cpu" or not bool(queries.all())
        mask = AttentionMask.of(queries, _compute_dtype(states)) if padded else None
        if not self.relative_attention:
            return Prepared(None, mask), None
        span = self.position_buckets if self.position_buckets > 0 else self.max_relative_positions
        rows = relative_rows(states.shape[1], span, self.position_buckets, self.max_relative_positions, states.device)
        table = self.rel_embeddings.weight[rows.start : rows.stop]
        if "layer_norm" in self.norm_rel_ebd:
            table = self.LayerNorm(table)
        return Prepared(rows, mask), table


class FastSelfAttention(DisentangledSelfAttention):
    """`DisentangledSelfAttention` on what `FastEncoder` prepared."""

    def forward(  # noqa: PLR0917  (the signature of the base class)
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: Any = None,
        rel_embeddings: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Attended states, shape (N, T, D), of `hidden_states` (N, T, D)."""
        if not isinstance(relative_pos, Prepared):
            return super().forward(
                hidden_states, attention_mask, output_attentions, query_states, relative_pos, rel_embeddings
            )
        # once, not in each of the three projections
        hidden_states = hidden_states.to(_compute_dtype(hidden_states))
        pos_key, pos_query = self._position_tables(relative_pos.rows, rel_embeddings)
        terms = 1 + ("c2p" in self.pos_att_type) + ("p2c" in self.pos_att_type)
        scale = score_scale(self.attention_head_size, terms)
        if query_states is not None:
            first = FirstTokenAttention(self.num_attention_heads, scale, self.dropout)
            blocked = None if relative_pos.mask is None else relative_pos.mask.blocked[:, 0]
            query, key, value = self.query_proj(query_states), self.key_proj, self.value_proj
            return first(query, hidden_states, key, value, pos_key, pos_query, blocked), None
        query = self.query_proj(hidden_states)
        key = self.key_proj(hidden_states)
        value = self.value_proj(hidden_states)
        options = AttentionOptions(
            heads=self.num_attention_heads,
            scale=scale,
            dropout=self.dropout.p if self.training else 0.0,
        )
        attend = _attention_on(hidden_states.device)
        return attend(query, key, value, pos_key, pos_query, relative_pos.mask, options), None

    def _position_tables(self, rows: RelativeRows | None, table: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Projected keys by falling and queries by rising distance, each (2T, D) or None."""
        if rows is None or table is None:
            return None, None
        table = self.pos_dropout(table)
        pos_key = pos_query = None
        if "c2p" in self.pos_att_type:
            project = self.key_proj if self.share_att_key else self.pos_key_proj
            pos_key = project(table).index_select(0, rows.descending)
        if "p2c" in self.pos_att_type:
            project = self.query_proj if self.share_att_key else self.pos_query_proj
            pos_query = project(table).index_select(0, rows.ascending)
        return pos_key, pos_query
