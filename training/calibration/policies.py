"""Decision thresholds fitted on dev: the named policies that travel in the bundle.

Shapes: N examples, L labels, G grid points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.thresholds import ARGMAX, Policies
from training.config import CalibrationConfig

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

GRID: Floats = np.round(np.arange(0.005, 0.9951, 0.0025), 4)
"""Candidate thresholds."""
NEVER = 1.0
"""Threshold of a label that is not to be decided."""


@dataclass(frozen=True)
class Counts:
    """What every threshold of `GRID` decides on dev: all of shape (L, G), `support` of shape (L,)."""

    true_positives: Floats
    decided: Floats
    support: Floats

    @property
    def f1(self) -> Floats:
        """2 TP / (decided + support), 0 where nothing is decided or to be found."""
        total = self.decided + self.support[:, None]
        return np.divide(2 * self.true_positives, total, out=np.zeros_like(total), where=total > 0)

    @property
    def precision(self) -> Floats:
        """TP / decided, 0 where nothing is decided."""
        return np.divide(self.true_positives, self.decided, out=np.zeros_like(self.decided), where=self.decided > 0)

    @property
    def recall(self) -> Floats:
        """TP / support, 0 for a label without a positive."""
        support = np.broadcast_to(self.support[:, None], self.decided.shape)
        return np.divide(self.true_positives, support, out=np.zeros_like(self.decided), where=support > 0)


def count_on_grid(truth: Bools, probabilities: Floats, known: Bools) -> Counts:
    """Counts at every threshold of `GRID`, of arrays of shape (N, L)."""
    tp, decided, support = [], [], []
    for positive, p, mask in zip(truth.T, probabilities.T, known.T, strict=True):
        everyone, positives = np.sort(p[mask]), np.sort(p[mask & positive])
        decided.append(len(everyone) - np.searchsorted(everyone, GRID))
        tp.append(len(positives) - np.searchsorted(positives, GRID))
        support.append(len(positives))
    return Counts(np.array(tp, dtype=float), np.array(decided, dtype=float), np.array(support, dtype=float))


def f1_thresholds(counts: Counts, shrinkage: float, *, towards: Floats | None = None) -> Floats:
    """F1-optimal threshold of every label, rare labels shrunk towards the one that is best for all; shape (L,).

    In log odds, with n positives of a label on dev: n / (n + shrinkage) of its own optimum, the rest of the global one,
    or of the label's in `towards`, shape (L,).
    """
    curve = counts.f1
    own = np.array([GRID[_middle_of_best(values)] for values in curve])
    weight = counts.support / np.maximum(counts.support + shrinkage, 1e-9)
    odds = weight * _log_odds(own) + (1 - weight) * _log_odds(global_threshold(counts) if towards is None else towards)
    return np.asarray(1 / (1 + np.exp(-odds)))


def global_threshold(counts: Counts) -> float:
    """The one threshold with the best macro F1."""
    return float(GRID[_middle_of_best(counts.f1.mean(axis=0))])


def precision_thresholds(counts: Counts, target: float) -> Floats:
    """The lowest threshold of every label with at least this precision; `NEVER` for a label that has none."""
    enough = counts.precision >= target
    return np.asarray(np.where(enough.any(axis=1), GRID[np.argmax(enough, axis=1)], NEVER))


def recall_thresholds(counts: Counts, target: float) -> Floats:
    """The highest threshold of every label with at least this recall; the lowest of all for a label that has none."""
    enough = counts.recall >= target
    highest = len(GRID) - 1 - np.argmax(enough[:, ::-1], axis=1)
    return np.asarray(np.where(enough.any(axis=1), GRID[highest], GRID[0]))


def fit_policies(
    truth: Bools,
    probabilities: Floats,
    known: Bools,
    *,
    labels: tuple[str, ...],
    config: CalibrationConfig,
    split: str,
    single_label: bool = False,
) -> Policies:
    """All named policies, fitted on calibrated probabilities; `argmax` too, as the default, for single-label tasks.

    Args:
        truth: shape (N, L).
        probabilities: calibrated, shape (N, L).
        known: annotated entries, shape (N, L).
        labels: names of the L columns.
        config: shrinkage and the targets of precision@p and recall@r.
        split: name of the split these rows are from.
        single_label: whether a text has exactly one label.
    """
    counts = count_on_grid(truth, probabilities, known)
    everywhere = np.ones(len(labels))
    values = {
        "f1": f1_thresholds(counts, config.threshold_shrinkage),
        "global": everywhere * global_threshold(counts),
        "half": everywhere * 0.5,
        "fixed_0.2": everywhere * 0.2,
        f"precision@{config.precision_target:g}": precision_thresholds(counts, config.precision_target),
        f"recall@{config.recall_target:g}": recall_thresholds(counts, config.recall_target),
    }
    if not single_label:
        return Policies(labels, values, fitted_on=split)
    values[ARGMAX] = 0.0 * everywhere
    return Policies(labels, values, fitted_on=split, default=ARGMAX)


def _middle_of_best(values: Floats) -> int:
    """Index in the middle of the widest run of the best value: thresholds beside a cliff do not generalise."""
    best = np.flatnonzero(values >= values.max() - 1e-12)
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    widest = max(runs, key=len)
    return int(widest[len(widest) // 2])


def _log_odds(probability: Floats | float) -> Floats:
    p = np.asarray(probability, dtype=np.float64)
    return np.log(p) - np.log1p(-p)
