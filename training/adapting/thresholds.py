"""Every decision policy refitted on few rows, or on rows without labels: what is not known is expected.

Shapes: N rows, L labels, G grid points.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.thresholds import Policies
from training.calibration.policies import (
    GRID,
    Counts,
    f1_thresholds,
    global_threshold,
    precision_thresholds,
    recall_thresholds,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

EXPECTED_POSITIVES = 50.0
"""A label with this many positive rows has them count half; the rest is what the probabilities expect.

Counts of a handful of positives are noise: in simulation, thresholds of expected counts gain more macro F1 at 30 to 800
rows than those of observed ones. Observed ones need no calibration, so they take over as they grow.
"""

SHRINKAGE = 5.0
"""A label with this many positives, expected or seen, lies halfway to the threshold that is best for all."""


@dataclass(frozen=True)
class SoftRows:
    """Rows that may be labelled in part or not at all.

    Attributes:
        probabilities: calibrated for these texts, shape (N, L).
        truth: shape (N, L).
        known: annotated cells, shape (N, L).
        weights: how much a row counts for a label, shape (N, L); 1 where the rows are of the texts adapted to.
    """

    probabilities: Floats
    truth: Bools
    known: Bools
    weights: Floats

    @classmethod
    def unlabelled(cls, probabilities: Floats, weights: Floats | None = None) -> SoftRows:
        """Rows without a label."""
        nothing = np.zeros(probabilities.shape, dtype=bool)
        return cls(probabilities, nothing, nothing, np.ones(probabilities.shape) if weights is None else weights)

    def __add__(self, other: SoftRows) -> SoftRows:
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return SoftRows(*(np.concatenate(pair) for pair in pairs))


def expected_counts(rows: SoftRows) -> Counts:
    """True positives, decisions and positives at every threshold of the grid, expected where they are not seen.

    A cell counts as positive by w y + (1 - w) p where y is known, w = n / (n + `EXPECTED_POSITIVES`) for n positives of
    the label, and by p where it is not.
    """
    positives = (rows.truth & rows.known).sum(axis=0)
    seen = positives / (positives + EXPECTED_POSITIVES)
    soft = np.where(rows.known, seen * rows.truth + (1 - seen) * rows.probabilities, rows.probabilities)
    tp, decided, support = [], [], []
    for p, positive, weight in zip(rows.probabilities.T, (soft * rows.weights).T, rows.weights.T, strict=True):
        order = np.argsort(p)
        below = np.searchsorted(p[order], GRID)
        positive_below = np.concatenate([[0.0], np.cumsum(positive[order])])
        weight_below = np.concatenate([[0.0], np.cumsum(weight[order])])
        tp.append(positive_below[-1] - positive_below[below])
        decided.append(weight_below[-1] - weight_below[below])
        support.append(positive_below[-1])
    return Counts(np.array(tp), np.array(decided), np.array(support))


def refit_policies(parent: Policies, rows: SoftRows, changed: Bools, fitted_on: str) -> Policies:
    """The parent's policies, fitted again by their names.

    Args:
        parent: whose names, targets and default are kept; a policy that is not fitted, like `half`, stays as it is.
        rows: what is known of the texts adapted to.
        changed: labels to fit, shape (L,); the others keep the parent's thresholds.
        fitted_on: what the rows are, for the record.
    """
    counts = expected_counts(rows)
    values = {}
    for name, before in parent.values.items():
        fitted = _fit(name, counts)
        values[name] = before if fitted is None else np.where(changed, fitted, before)
    return Policies(parent.labels, values, fitted_on, parent.default)


def _fit(name: str, counts: Counts) -> Floats | None:
    if name == "f1":
        return f1_thresholds(counts, SHRINKAGE)
    if name == "global":
        return np.full(len(counts.support), global_threshold(counts))
    target = re.fullmatch(r"(precision|recall)@(0?\.\d+|[01](?:\.\d+)?)", name)
    if target is None:
        return None
    fit = precision_thresholds if target[1] == "precision" else recall_thresholds
    return fit(counts, float(target[2]))
