"""The work a batch cannot do without, and the time this machine would need for it at its limit."""

from __future__ import annotations

from benchmarks.contenders.model import ModelShape
from benchmarks.measure.limits import Limits

_BYTES = {"fp32": 4, "int8": 1, "fp16": 2, "bf16": 2}
_BACKWARD = 3
"""A step forward and back costs three times the forward products: each has two gradients."""


def dense_operations(shape: ModelShape, batch: int, length: int) -> float:
    """Operations of the products with weights.

    With CLS pooling the last layer's queries and feed-forward are needed for one token a row: the others end there.
    """
    width, inner = shape.width, shape.inner
    per_token = 2 * (2 * width * width)  # keys and values
    per_result = 2 * (2 * width * width + 2 * width * inner)  # queries, attention output, feed-forward
    tokens = batch * length
    last = batch if shape.pooling == "cls" else tokens
    return float(shape.layers * tokens * per_token + ((shape.layers - 1) * tokens + last) * per_result)


def attention_operations(shape: ModelShape, batch: int, length: int) -> float:
    """Operations of q.k, q.P_k, k.P_q and weights x values, each once for every pair of tokens.

    None of them has a constant side that could be quantised ahead, so they count in floating point.
    """
    queries = (shape.layers - 1) * length + (1 if shape.pooling == "cls" else length)
    return float(4 * 2 * shape.width * batch * queries * length)


def limit_seconds(shape: ModelShape, batch: int, length: int, precision: str, limits: Limits) -> float:
    """Seconds at the machine's limit: all products at their best rate, or reading the weights once if that is longer.

    The limit is that of a roofline: Williams et al. 2009, https://doi.org/10.1145/1498765.1498785
    """
    dense = dense_operations(shape, batch, length) / limits.rate(precision)
    floating = "fp32" if precision == "int8" else precision
    compute = dense + attention_operations(shape, batch, length) / limits.rate(floating)
    weights = shape.layers * (4 * shape.width**2 + 2 * shape.width * shape.inner)
    return max(compute, weights * _BYTES.get(precision, 4) / limits.read_bytes)


def training_limit_seconds(shape: ModelShape, batch: int, length: int, precision: str, limits: Limits) -> float:
    """Seconds of the products of one training step at the machine's best rate in torch."""
    rate = limits.bf16_torch if precision == "bf16" else limits.fp32_torch
    operations = dense_operations(shape, batch, length) + attention_operations(shape, batch, length)
    return _BACKWARD * operations / rate
