"""Weights that make rare labels count more, from how often each label occurs.

Shapes: N examples, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.errors import ConfigError


@dataclass(frozen=True)
class LabelCounts:
    """How often each label occurs in the training rows where it is known.

    Attributes:
        positives: sum of the targets of known entries, shape (L,).
        known: rows where the label is annotated, shape (L,).
    """

    positives: NDArray[np.float64]
    known: NDArray[np.float64]

    @classmethod
    def of(cls, targets: NDArray[np.floating], known: NDArray[np.bool_]) -> LabelCounts:
        """Counts of targets in 0..1 and known entries, both of shape (N, L)."""
        return cls(targets.sum(axis=0, dtype=np.float64, where=known), known.sum(axis=0, dtype=np.float64))


@dataclass(frozen=True)
class LabelWeights:
    """Weights of a label's positive and negative entries, each of shape (L,), float32."""

    positive: Tensor
    negative: Tensor


def label_weights(counts: LabelCounts, weighting: str, cap: float) -> LabelWeights:
    """Weights of positives and negatives: `inverse_frequency` n / n1 and 1, `balanced` n / (2 n1) and n / (2 n0).

    `balanced` is scikit-learn's `compute_class_weight("balanced")` of each label's yes and no (King and Zeng 2001).

    Args:
        counts: n known rows and n1 positives of every label; n0 = n - n1.
        weighting: how weights follow from counts.
        cap: largest weight; also that of a class that never occurs.

    Raises:
        ConfigError: for another weighting.
    """
    total, positives = counts.known, counts.positives
    if weighting == "inverse_frequency":
        positive, negative = _ratio(total, positives), np.ones_like(total)
    elif weighting == "balanced":
        positive, negative = 0.5 * _ratio(total, positives), 0.5 * _ratio(total, total - positives)
    else:
        raise ConfigError(f"loss.weighting is {weighting!r}; allowed are inverse_frequency and balanced.")
    return LabelWeights(_capped(positive, cap), _capped(negative, cap))


def _ratio(total: NDArray[np.float64], part: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(total, part, out=np.full_like(total, np.inf), where=part > 0)


def _capped(weights: NDArray[np.float64], cap: float) -> Tensor:
    return torch.from_numpy(np.minimum(weights, cap).astype(np.float32))
