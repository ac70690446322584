"""The numbers of a DeBERTa-v2 classifier as the exported graph wants them: folded once, at export."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Linear:
    """y = x @ weight + bias: weight (in, out), bias (out,)."""

    weight: Array
    bias: Array


@dataclass(frozen=True)
class Norm:
    """Layer normalisation over the last axis."""

    scale: Array
    shift: Array
    epsilon: float


@dataclass(frozen=True)
class Layer:
    """One encoder layer of width D.

    `query` carries the softmax scale; the bias of the values has moved into that of `output`, because the attention
    weights of a row sum to one. `c2p` and `p2c` are tables of shape (D, 2 * max_length) whose column e belongs to
    distance e - max_length: key minus query position in `c2p`, query minus key position in `p2c`; `p2c` is scaled.
    """

    query: Linear
    key: Linear
    value: Array
    output: Linear
    output_norm: Norm
    intermediate: Linear
    dense: Linear
    dense_norm: Norm
    c2p: Array | None
    p2c: Array | None


def numpy_of(parameter: Tensor) -> Array:
    """A float32 copy of a parameter."""
    return parameter.detach().to("cpu", torch.float32).numpy().copy()


def linear_of(module: nn.Linear, scale: float = 1.0) -> Linear:
    """A linear layer, transposed to (in, out) and multiplied by `scale`."""
    weight = numpy_of(module.weight).T * np.float32(scale)
    bias = np.zeros(weight.shape[1], np.float32) if module.bias is None else numpy_of(module.bias)
    return Linear(np.ascontiguousarray(weight), bias * np.float32(scale))


def norm_of(module: nn.LayerNorm) -> Norm:
    """A layer normalisation."""
    return Norm(numpy_of(module.weight), numpy_of(module.bias), module.eps)


def layers_of(encoder: nn.Module, config: Any, max_length: int) -> list[Layer]:
    """Every layer of a DeBERTa-v2 encoder, folded.

    Args:
        encoder: `DebertaV2Encoder`, in its evaluation state.
        config: its configuration.
        max_length: longest input, in tokens, that the tables must cover.
    """
    relative = bool(getattr(config, "relative_attention", False))
    embeddings = encoder.get_rel_embedding() if relative else None  # type: ignore[operator]
    return [_layer(layer, embeddings, max_length) for layer in encoder.layer]  # type: ignore[union-attr]


def _layer(layer: nn.Module, embeddings: Tensor | None, max_length: int) -> Layer:
    attention: Any = layer.attention.self  # type: ignore[union-attr]
    terms = attention.pos_att_type
    factor = 1 + ("c2p" in terms) + ("p2c" in terms)
    scale = 1.0 / math.sqrt(attention.attention_head_size * factor)
    dense: Any = layer.attention.output.dense  # type: ignore[union-attr]
    value, output = linear_of(attention.value_proj), linear_of(dense)
    tables = _tables(attention, embeddings, scale, max_length)
    return Layer(
        query=linear_of(attention.query_proj, scale),
        key=linear_of(attention.key_proj),
        value=value.weight,
        output=Linear(output.weight, output.bias + value.bias @ output.weight),
        output_norm=norm_of(layer.attention.output.LayerNorm),  # type: ignore[union-attr, arg-type]
        intermediate=linear_of(layer.intermediate.dense),  # type: ignore[union-attr, arg-type]
        dense=linear_of(layer.output.dense),  # type: ignore[union-attr, arg-type]
        dense_norm=norm_of(layer.output.LayerNorm),  # type: ignore[union-attr, arg-type]
        c2p=tables[0],
        p2c=tables[1],
    )


@torch.no_grad()
def _tables(
    attention: Any, embeddings: Tensor | None, scale: float, max_length: int
) -> tuple[Array | None, Array | None]:
    """Projected relative positions of every distance -max_length .. max_length - 1, each (D, 2 * max_length)."""
    if embeddings is None:
        return None, None
    terms, shared = attention.pos_att_type, attention.share_att_key
    rows = embeddings[: 2 * attention.pos_ebd_size].float()
    query_minus_key = relative_rows(attention, max_length)
    c2p = p2c = None
    if "c2p" in terms:
        projected = (attention.key_proj if shared else attention.pos_key_proj)(rows)
        c2p = numpy_of(projected[relative_rows(attention, max_length, sign=-1)]).T
    if "p2c" in terms:
        projected = (attention.query_proj if shared else attention.pos_query_proj)(rows)
        p2c = numpy_of(projected[query_minus_key] * scale).T
    return c2p, p2c


def relative_rows(attention: Any, max_length: int, sign: int = 1) -> Tensor:
    """Row of the relative embeddings for every distance -max_length .. max_length - 1, times `sign`, shape (2 * max_length,).

    The log buckets are those of Hugging Face's own function, computed once, in float32, at export.
    """
    distance = torch.arange(-max_length, max_length) * sign
    buckets, farthest = attention.position_buckets, attention.max_relative_positions
    if buckets > 0 and farthest > 0:
        distance = make_log_bucket_position(distance, buckets, farthest).to(torch.long)
    span = attention.pos_ebd_size
    return torch.clamp(distance + span, 0, 2 * span - 1)
