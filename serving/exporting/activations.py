"""What the quantised products of a graph read on calibration texts, and what makes their int8 versions closer.

Two things follow from it, and neither costs time when the graph runs:

* how much of a normalised tensor's outliers moves into the weights (SmoothQuant, Xiao et al. 2023, equation 4,
  https://arxiv.org/abs/2211.10438): the share is the one of `ALPHAS` that errs least, tensor by tensor. On the demo
  that is mostly 0.9 before the attention and 0.5 or 0.6 before the feed-forward;
* the mean error of a product, which its bias takes back (Nagel et al. 2019, https://arxiv.org/abs/1906.04721).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LARGEST = 127

MIDDLE, ABOVE = 128, 127
"""Level of zero for a tensor of both signs, and levels on either side of it."""

GELU_MINIMUM = -0.17
GELU_ZERO = 17
GELU_ABOVE = 255 - GELU_ZERO
GELU_LEAST_RANGE = -GELU_MINIMUM * GELU_ABOVE / GELU_ZERO
"""For the output of GELU: its least value, the level of zero, the levels above it, and the least range they cover."""

ALPHAS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of an outlier channel's range that may move into its weights."""

SEARCH_TOKENS = 512
"""Tokens, evenly spaced, on which the shares are compared."""

TINY = np.float32(1e-5)


def quantise_symmetric(table: Array, axes: tuple[int, ...]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Int8 values and float32 scales of a table; all entries along `axes` share a scale, whose shape has 1 there."""
    scale = np.maximum(np.abs(table).max(axis=axes, keepdims=True), np.finfo(np.float32).tiny) / LARGEST
    values = np.clip(np.rint(table / scale), -LARGEST, LARGEST).astype(np.int8)
    return values, scale.astype(np.float32)


def round_by_token(tokens: Array, *, gelu: bool) -> NDArray[np.float32]:
    """Tokens (N, D) as the int8 graph reads them: rounded to the levels of each token's own scale."""
    if gelu:
        zero, steps = GELU_ZERO, GELU_ABOVE / np.maximum(tokens.max(axis=1, keepdims=True), GELU_LEAST_RANGE)
    else:
        zero, steps = MIDDLE, ABOVE / np.maximum(np.abs(tokens).max(axis=1, keepdims=True), 1e-9)
    levels = np.clip(np.rint(tokens * steps), -zero, 255 - zero)
    return np.asarray(levels / steps, np.float32)


@dataclass
class Activations:
    """What calibration texts put into the products of one graph; what was worked out once is kept.

    Args:
        tokens: tensor -> what it held, shape (N, D).
    """

    tokens: Mapping[str, Array] = field(default_factory=dict)
    _divisors: dict[str, Array] = field(default_factory=dict)
    _means: dict[str, tuple[Array, Array]] = field(default_factory=dict)

    def smoothing_factors(self, name: str, read_weights: Callable[[], Sequence[Array]]) -> Array | None:
        """What a tensor's channels are divided by, and their weights multiplied with; None where nothing is known.

        Args:
            name: the tensor.
            read_weights: gives those of all products that read it, (D, outputs) each.
        """
        if name not in self.tokens:
            return None
        if name not in self._divisors:
            tokens, weights = self.tokens[name], read_weights()
            ranges = np.maximum(np.abs(tokens).max(axis=0), TINY)
            largest = np.maximum(np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0), TINY)
            some = tokens[np.linspace(0, len(tokens) - 1, min(SEARCH_TOKENS, len(tokens))).astype(np.int64)]
            tried = [(ranges**alpha / largest ** (1 - alpha)).astype(np.float32) for alpha in ALPHAS]
            self._divisors[name] = min(tried, key=lambda factors: _relative_error(some, weights, factors))
        return self._divisors[name]

    def mean_error(
        self, name: str, matrix: Array, rounded: Array, *, factors: Array | None, gelu: bool
    ) -> Array | None:
        """Mean, over the tokens, of what a product gives too much in int8, (outputs,); None where nothing is known.

        Args:
            name: the tensor that it reads.
            matrix: its weights, (D, outputs), multiplied with `factors`.
            rounded: the same in int8, as floats.
            factors: what the tensor is divided by.
            gelu: whether the tensor is the output of GELU.
        """
        if name not in self.tokens:
            return None
        if name not in self._means:
            tokens = self.tokens[name] if factors is None else self.tokens[name] / factors
            self._means[name] = tokens.mean(axis=0), round_by_token(tokens, gelu=gelu).mean(axis=0)
        exact, found = self._means[name]
        return np.asarray(found @ rounded - exact @ matrix, np.float32)


def _relative_error(tokens: Array, weights: Sequence[Array], factors: Array) -> float:
    """Squared error of each token in int8 over its square; mean over the tokens, summed over the products.

    Each token counts alike, for the attention rests on tokens whose values are small.
    """
    read, total = round_by_token(tokens / factors, gelu=False), 0.0
    for weight in weights:
        values, scale = quantise_symmetric(weight * factors[:, None], axes=(0,))
        exact = tokens @ weight
        errors, squares = (read @ (values * scale) - exact) ** 2, exact**2
        total += float(np.mean(errors.sum(axis=1) / np.maximum(squares.sum(axis=1), TINY)))
    return total
