"""All metrics of one set of predictions under many weightings of its rows at once: what a bootstrap asks for.

A weighting says how often each row is drawn. What is a sum over rows (counts, squared errors, losses, bins) is one
matrix product for all weightings; what depends on the order of the rows (average precision, ROC AUC) is sorted once
and summed up under each. Shapes: N rows, L labels, S weightings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from shared.metrics import EPSILON

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
BINS = 15
"""Equal-width bins of the calibration errors, as in `shared.metrics`."""

RANKED_AT_ONCE = 4_000_000
"""Weights that are sorted and summed up in one step: bounds the memory."""


@dataclass(frozen=True)
class Predictions:
    """What was predicted for N rows beside what is true of them.

    Attributes:
        truth: shape (N, L).
        known: annotated entries, shape (N, L).
        probabilities: calibrated, shape (N, L).
        decisions: shape (N, L).
    """

    truth: Bools
    known: Bools
    probabilities: Floats
    decisions: Bools

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: NDArray[np.intp]) -> Predictions:
        """Some of the rows."""
        return Predictions(self.truth[rows], self.known[rows], self.probabilities[rows], self.decisions[rows])


def entry_losses(rows: Predictions) -> Floats:
    """Binary negative log likelihood of every entry, 0 where unknown, shape (N, L)."""
    p = np.clip(rows.probabilities, EPSILON, 1 - EPSILON)
    return np.where(rows.known, -np.where(rows.truth, np.log(p), np.log1p(-p)), 0.0)


def ranking_per_row(rows: Predictions) -> tuple[Floats, Floats]:
    """Label ranking average precision and coverage of every row among its known labels, both of shape (N,).

    Conventions of scikit-learn: a row with no label or with all of them has precision 1, one with none coverage 0;
    equal probabilities share the worst rank. Tsoumakas, Katakis and Vlahavas, Mining Multi-label Data, 2010.
    """
    precision, coverage = np.ones(len(rows)), np.zeros(len(rows))
    step = max(1, RANKED_AT_ONCE // max(1, rows.truth.shape[1] ** 2))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        known, p = rows.known[part], np.where(rows.known[part], rows.probabilities[part], -np.inf)
        truth = rows.truth[part] & known
        above = (p[:, None, :] >= p[:, :, None]) & known[:, None, :]
        rank = above.sum(axis=2)
        true_above = (above & truth[:, None, :]).sum(axis=2)
        count = truth.sum(axis=1)
        shares = np.where(truth, true_above / np.maximum(rank, 1), 0.0).sum(axis=1)
        ranked = (count > 0) & (count < known.sum(axis=1))
        precision[part] = np.where(ranked, shares / np.maximum(count, 1), 1.0)
        coverage[part] = np.where(truth, rank, 0).max(axis=1)
    return precision, coverage


class Measures:
    """Metrics of some rows under weightings.

    Args:
        rows: the predictions; a few ten thousand at most, as `resampling` takes them.
    """

    def __init__(self, rows: Predictions) -> None:
        y, d, known, p = rows.truth & rows.known, rows.decisions & rows.known, rows.known, rows.probabilities
        self._rows = rows
        self._labels = y.shape[1]
        found = 2 * (y & d).sum(axis=1) / np.maximum(y.sum(axis=1) + d.sum(axis=1), 1)
        precision, coverage = ranking_per_row(rows)
        answered = known.any(axis=1)
        per_row = [answered, found * answered, (y == d).all(axis=1) & answered, precision * answered, coverage]
        error = np.where(known, p - y, 0.0)
        self._sums = np.hstack([
            y & d, y, d, known, error**2, entry_losses(rows), np.column_stack(per_row),
        ]).astype(np.float64)  # fmt: skip
        bins = np.minimum((p * BINS).astype(np.intp), BINS - 1)
        place = bins + BINS * np.arange(self._labels)
        row = np.repeat(np.arange(len(rows)), self._labels)
        shape = (len(rows), BINS * self._labels)
        self._binned = csr_matrix((error.ravel(), (row, place.ravel())), shape=shape)
        self._order = [_Order.of(y[known[:, i], i], p[known[:, i], i], known[:, i]) for i in range(self._labels)]

    def under(self, weights: NDArray[np.number]) -> dict[str, Floats]:
        """Metric -> its value under each weighting, shape (S,); those called `label_...` have shape (S, L).

        Args:
            weights: how often each row counts, shape (S, N).
        """
        w = weights.astype(np.float64)
        blocks = np.split(w @ self._sums, self._labels * np.arange(1, 7), axis=1)
        hit, positive, decided, known, squared, loss, per_row = blocks
        f1 = _ratio(2 * hit, positive + decided)
        scored = np.where(known > 0, f1, np.nan)
        answered, samples, exact, precision, coverage = per_row.T
        gaps = np.abs(np.asarray((self._binned.T @ w.T).T)).reshape(len(w), self._labels, BINS)
        pooled = np.asarray((self._binned.T @ w.T).T).reshape(len(w), self._labels, BINS).sum(axis=1)
        ece = np.where(known > 0, gaps.sum(axis=2) / np.maximum(known, 1e-12), np.nan)
        ap, auc = self._ranked(w)
        total = known.sum(axis=1)
        return {
            "macro_f1": _mean(scored),
            "micro_f1": _ratio(2 * hit.sum(axis=1), (positive + decided).sum(axis=1)),
            "samples_f1": _ratio(samples, answered),
            "weighted_f1": _ratio((f1 * positive).sum(axis=1), positive.sum(axis=1)),
            "subset_accuracy": _ratio(exact, answered),
            "macro_ap": _mean(ap), "macro_roc_auc": _mean(auc),
            "brier": squared.sum(axis=1) / total, "nll": loss.sum(axis=1) / total,
            "ece_pooled": np.abs(pooled).sum(axis=1) / total, "ece_classwise": _mean(ece),
            "lrap": _ratio(precision, answered), "coverage_error": _ratio(coverage, answered),
            "label_f1": scored, "label_ap": ap, "label_roc_auc": auc,
            "label_brier": np.where(known > 0, _ratio(squared, known), np.nan),
        }  # fmt: skip

    def _ranked(self, weights: Floats) -> tuple[Floats, Floats]:
        """Average precision and ROC AUC, both of shape (S, L)."""
        found = np.full((2, len(weights), self._labels), np.nan)
        step = max(1, RANKED_AT_ONCE // len(self._rows))
        for start in range(0, len(weights), step):
            part = weights[start : start + step]
            for column, order in enumerate(self._order):
                found[:, start : start + step, column] = order.ranked(part)
        return found[0], found[1]


@dataclass(frozen=True)
class _Order:
    """The known rows of one label by falling probability.

    Attributes:
        rows: their places, shape (n,).
        positive: whether each has the label, shape (n,).
        ends: where a run of equal probabilities ends.
    """

    rows: NDArray[np.intp]
    positive: Bools
    ends: NDArray[np.intp]

    @classmethod
    def of(cls, truth: Bools, probabilities: Floats, known: Bools) -> _Order:
        order = np.argsort(-probabilities, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(probabilities[order])), len(order) - 1)
        return cls(np.flatnonzero(known)[order], truth[order], ends)

    def ranked(self, weights: Floats) -> tuple[Floats, Floats]:
        """Average precision and ROC AUC under each weighting, both of shape (S,); NaN where there is none."""
        empty = np.full(len(weights), np.nan)
        if not self.positive.any():
            return empty, empty
        drawn = weights[:, self.rows]
        true = np.cumsum(drawn * self.positive, axis=1)[:, self.ends]
        false = np.cumsum(drawn * ~self.positive, axis=1)[:, self.ends]
        steps, false_steps = np.diff(true, axis=1, prepend=0.0), np.diff(false, axis=1, prepend=0.0)
        positives, negatives = true[:, -1], false[:, -1]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(steps > 0, true / (true + false), 0.0)
            ap = (steps * precision).sum(axis=1) / positives
            auc = (false_steps * (true - steps / 2)).sum(axis=1) / (positives * negatives)
        return ap, auc


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def _mean(values: Floats) -> Floats:
    """Mean over the labels that have a value, shape (S,); NaN where none has."""
    there = ~np.isnan(values)
    count = there.sum(axis=1)
    return np.where(count > 0, np.where(there, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def names(values: Mapping[str, Floats]) -> list[str]:
    """Metrics of all labels together, without those of single labels."""
    return [name for name in values if not name.startswith("label_")]


def number_or_none(value: float) -> float | None:
    """The value for JSON: None, which is null there, where nothing was measured (NaN)."""
    return None if np.isnan(value) else float(value)
