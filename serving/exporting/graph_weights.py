"""The numbers of a DeBERTa-v2 encoder as the exported graph wants them, folded once, at export."""

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

    @classmethod
    def of(cls, module: nn.Linear, scale: float = 1.0) -> Linear:
        """A layer's numbers, its weight transposed, all multiplied by `scale`."""
        weight = numpy_of(module.weight).T * np.float32(scale)
        bias = np.zeros(weight.shape[1], np.float32) if module.bias is None else numpy_of(module.bias)
        return cls(np.ascontiguousarray(weight), bias * np.float32(scale))


@dataclass(frozen=True)
class Norm:
    """Layer normalisation over the last axis: scale and shift (D,)."""

    scale: Array
    shift: Array
    epsilon: float

    @classmethod
    def of(cls, module: nn.LayerNorm) -> Norm:
        """A layer normalisation's numbers."""
        return cls(numpy_of(module.weight), numpy_of(module.bias), module.eps)


@dataclass(frozen=True)
class EncoderLayer:
    """One encoder layer of width D.

    Attributes:
        query: carries the scale of the softmax.
        key: as trained.
        value: weight (D, D); its bias has moved into that of `output`, since each row of attention weights sums to one.
        output: dense layer after the attention.
        output_norm: normalisation after it.
        up: first dense layer of the feed-forward.
        down: second dense layer of the feed-forward.
        down_norm: normalisation after it.
        c2p: projected keys of the positions, (D, 2 * max_length); column e is for key - query = e - max_length.
        p2c: projected queries of the positions with the softmax scale, (D, 2 * max_length); column e is for
            query - key = e - max_length.
    """

    query: Linear
    key: Linear
    value: Array
    output: Linear
    output_norm: Norm
    up: Linear
    down: Linear
    down_norm: Norm
    c2p: Array | None
    p2c: Array | None


def numpy_of(parameter: Tensor) -> Array:
    """A float32 copy of a parameter."""
    array: Array = parameter.detach().to("cpu", torch.float32).numpy().copy()
    return array


@torch.no_grad()
def encoder_layers(encoder: Any, max_length: int) -> list[EncoderLayer]:
    """Every layer of a `DebertaV2Encoder`, folded.

    Args:
        encoder: the encoder, in its evaluation state.
        max_length: longest input, in tokens, that the position tables must cover.
    """
    positions = encoder.get_rel_embedding() if encoder.relative_attention else None
    return [_encoder_layer(layer, positions, max_length) for layer in encoder.layer]


def _encoder_layer(layer: Any, positions: Tensor | None, max_length: int) -> EncoderLayer:
    attention = layer.attention.self
    terms = 1 + ("c2p" in attention.pos_att_type) + ("p2c" in attention.pos_att_type)
    scale = 1.0 / math.sqrt(attention.attention_head_size * terms)
    value, output = Linear.of(attention.value_proj), Linear.of(layer.attention.output.dense)
    c2p, p2c = (None, None) if positions is None else _position_tables(attention, positions, scale, max_length)
    return EncoderLayer(
        query=Linear.of(attention.query_proj, scale),
        key=Linear.of(attention.key_proj),
        value=value.weight,
        output=Linear(output.weight, output.bias + value.bias @ output.weight),
        output_norm=Norm.of(layer.attention.output.LayerNorm),
        up=Linear.of(layer.intermediate.dense),
        down=Linear.of(layer.output.dense),
        down_norm=Norm.of(layer.output.LayerNorm),
        c2p=c2p,
        p2c=p2c,
    )


def _position_tables(
    attention: Any, positions: Tensor, scale: float, max_length: int
) -> tuple[Array | None, Array | None]:
    rows = positions[: 2 * attention.pos_ebd_size].float()
    distance = torch.arange(-max_length, max_length)
    c2p = p2c = None
    if "c2p" in attention.pos_att_type:
        project = attention.key_proj if attention.share_att_key else attention.pos_key_proj
        c2p = numpy_of(project(rows)[position_rows(attention, -distance)].T)
    if "p2c" in attention.pos_att_type:
        project = attention.query_proj if attention.share_att_key else attention.pos_query_proj
        p2c = numpy_of(project(rows)[position_rows(attention, distance)].T * scale)
    return c2p, p2c


def position_rows(attention: Any, distance: Tensor) -> Tensor:
    """Row of the relative embeddings for each distance (query - key), as Hugging Face's own functions choose it.

    Their log buckets are computed here, in float32, so that the graph holds no position arithmetic at all.
    """
    buckets, farthest, span = attention.position_buckets, attention.max_relative_positions, attention.pos_ebd_size
    if buckets > 0 and farthest > 0:
        distance = make_log_bucket_position(distance, buckets, farthest).to(torch.long)
    return torch.clamp(distance + span, 0, 2 * span - 1)
