"""Multi-label metrics: F1, average precision, Brier score, NLL and calibration error.

Shapes: N examples, L labels. `known` marks the entries that were annotated; the others count nowhere. A label that is
annotated in no row has no metric (NaN, None in JSON) and is left out of every mean over labels. A label without a
positive among its known rows has F1 0, as in scikit-learn with `zero_division=0`, whether it is predicted (its false
positives count in the pooled F1) or not, and no average precision (NaN, left out of the mean).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

EPSILON = 1e-7
"""Probabilities are clipped to [EPSILON, 1 - EPSILON] before a logarithm."""


def _arrays(*matrices: ArrayLike, known: ArrayLike | None) -> tuple[list[NDArray[Any]], NDArray[np.bool_]]:
    arrays = [np.asarray(matrix) for matrix in matrices]
    mask = np.ones(arrays[0].shape, dtype=bool) if known is None else np.asarray(known, dtype=bool)
    return arrays, mask


def counts(
    truth: ArrayLike, decisions: ArrayLike, known: ArrayLike | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """True positives, false positives and false negatives of every label, each of shape (L,)."""
    (y, d), mask = _arrays(truth, decisions, known=known)
    y, d = (y > 0.5) & mask, d.astype(bool) & mask
    return (y & d).sum(axis=0), (~y & d).sum(axis=0), (y & ~d).sum(axis=0)


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    """Elementwise quotient, 0 where the denominator is 0."""
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def annotated(truth: ArrayLike, known: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Labels that are annotated in any row, shape (L,)."""
    (y,), mask = _arrays(truth, known=known)
    seen = np.asarray(mask.any(axis=0), dtype=np.bool_)
    return np.ones(y.shape[1], dtype=np.bool_) if known is None else seen


def f1_per_label(truth: ArrayLike, decisions: ArrayLike, known: ArrayLike | None = None) -> NDArray[np.float64]:
    """F1 = 2 TP / (2 TP + FP + FN) of every label, shape (L,); 0 where it is annotated nowhere."""
    tp, fp, fn = counts(truth, decisions, known)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def macro_f1(truth: ArrayLike, decisions: ArrayLike, known: ArrayLike | None = None) -> float:
    """Mean of the annotated labels' F1."""
    return _mean(f1_per_label(truth, decisions, known)[annotated(truth, known)])


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def micro_f1(truth: ArrayLike, decisions: ArrayLike, known: ArrayLike | None = None) -> float:
    """F1 of all entries pooled."""
    tp, fp, fn = (int(count.sum()) for count in counts(truth, decisions, known))
    return float(_ratio(2 * tp, 2 * tp + fp + fn))


def samples_f1(truth: ArrayLike, decisions: ArrayLike, known: ArrayLike | None = None) -> float:
    """Mean over the examples that are annotated at all of each example's own F1."""
    (y, d), mask = _arrays(truth, decisions, known=known)
    y, d = (y > 0.5) & mask, d.astype(bool) & mask
    answered = mask.any(axis=1)
    return _mean(_ratio(2 * (y & d).sum(axis=1), y.sum(axis=1) + d.sum(axis=1))[answered])


def weighted_f1(truth: ArrayLike, decisions: ArrayLike, known: ArrayLike | None = None) -> float:
    """Mean of the labels' F1, each weighted by its support."""
    tp, _, fn = counts(truth, decisions, known)
    return float(_ratio(f1_per_label(truth, decisions, known) @ (tp + fn), (tp + fn).sum()))


def accuracy(truth: ArrayLike, decisions: ArrayLike, known: ArrayLike | None = None) -> float:
    """Share of the examples with a label whose decisions are that label and no other, for single-label tasks."""
    (y, d), mask = _arrays(truth, decisions, known=known)
    y, d = (y > 0.5) & mask, d.astype(bool)
    return _mean((y == d).all(axis=1)[y.any(axis=1)].astype(np.float64))


def confusion_matrix(
    truth: ArrayLike, decisions: ArrayLike, labels: Sequence[str], known: ArrayLike | None = None
) -> dict[str, dict[str, int]]:
    """True label -> decided label -> examples, of those with a label and a decision; pairs that do not occur are left
    out.
    """
    (y, d), mask = _arrays(truth, decisions, known=known)
    y, d = (y > 0.5) & mask, d.astype(bool)
    table = y.T.astype(np.int64) @ d.astype(np.int64)
    return {
        name: {labels[int(j)]: int(table[i, j]) for j in np.flatnonzero(table[i])}
        for i, name in enumerate(labels)
        if table[i].any()
    }


def average_precision(
    truth: ArrayLike, probabilities: ArrayLike, known: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Average precision of every label, shape (L,), ties handled as one step; NaN for a label with no positive."""
    (y, p), mask = _arrays(truth, probabilities, known=known)
    return np.array([_label_ap(y[mask[:, i], i] > 0.5, p[mask[:, i], i]) for i in range(y.shape[1])])


def _label_ap(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    if not positive.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    hits = np.cumsum(positive[order])[last_of_tie]
    precision, recall = hits / (last_of_tie + 1), hits / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def brier(truth: ArrayLike, probabilities: ArrayLike, known: ArrayLike | None = None) -> float:
    """Mean squared difference between probability and outcome over all known entries."""
    (y, p), mask = _arrays(truth, probabilities, known=known)
    return _mean((p - y)[mask] ** 2)


def nll(truth: ArrayLike, probabilities: ArrayLike, known: ArrayLike | None = None) -> float:
    """Mean binary negative log likelihood over all known entries, in nats."""
    (y, p), mask = _arrays(truth, probabilities, known=known)
    y, p = y[mask].astype(np.float64), np.clip(p[mask].astype(np.float64), EPSILON, 1 - EPSILON)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p)))


def ece(outcomes: NDArray[Any], probabilities: NDArray[Any], bins: int = 15) -> float:
    """Expected calibration error of binary outcomes: equal-width bins over 0..1, weighted by their counts.

    Naeini et al. 2015; both arrays of shape (M,).
    """
    if not len(outcomes):
        return 0.0
    position = np.minimum((probabilities * bins).astype(int), bins - 1)
    weight = np.bincount(position, minlength=bins)
    confidence = np.bincount(position, weights=probabilities, minlength=bins)
    frequency = np.bincount(position, weights=outcomes, minlength=bins)
    return float(np.abs(confidence - frequency).sum() / weight.sum())


def ece_pooled(truth: ArrayLike, probabilities: ArrayLike, known: ArrayLike | None = None, bins: int = 15) -> float:
    """Calibration error over all entries pooled."""
    (y, p), mask = _arrays(truth, probabilities, known=known)
    return ece(y[mask].astype(np.float64), p[mask].astype(np.float64), bins)


def ece_classwise(truth: ArrayLike, probabilities: ArrayLike, known: ArrayLike | None = None, bins: int = 15) -> float:
    """Mean over the annotated labels of each label's own calibration error."""
    (y, p), mask = _arrays(truth, probabilities, known=known)
    columns = np.flatnonzero(mask.any(axis=0)) if len(y) else range(y.shape[1])
    errors = [ece(y[mask[:, i], i].astype(np.float64), p[mask[:, i], i].astype(np.float64), bins) for i in columns]
    return float(np.mean(errors))


def probability_metrics(truth: ArrayLike, probabilities: ArrayLike, known: ArrayLike | None = None) -> dict[str, float]:
    """Brier score, NLL and both calibration errors, by name."""
    return {
        "brier": brier(truth, probabilities, known),
        "nll": nll(truth, probabilities, known),
        "ece_classwise": ece_classwise(truth, probabilities, known),
        "ece_pooled": ece_pooled(truth, probabilities, known),
    }


def evaluate(
    truth: ArrayLike,
    probabilities: ArrayLike,
    decisions: ArrayLike,
    labels: Sequence[str],
    known: ArrayLike | None = None,
    *,
    single_label: bool = False,
) -> dict[str, Any]:
    """Every metric of one split under one policy, ready for JSON (None where there is nothing to measure).

    Args:
        truth: 0/1, shape (N, L).
        probabilities: calibrated, shape (N, L).
        decisions: bool, shape (N, L).
        labels: names of the L columns.
        known: annotated entries, shape (N, L); all when None.
        single_label: whether an example has exactly one label: accuracy, weighted F1 and confusion matrix too.
    """
    tp, fp, fn = counts(truth, decisions, known)
    precision, recall, f1 = _ratio(tp, tp + fp), _ratio(tp, tp + fn), f1_per_label(truth, decisions, known)
    ap = average_precision(truth, probabilities, known)
    has_ap = ~np.isnan(ap)
    scored = annotated(truth, known)
    of_one_label: dict[str, Any] = {}
    if single_label:
        of_one_label = {
            "accuracy": accuracy(truth, decisions, known),
            "weighted_f1": weighted_f1(truth, decisions, known),
            "confusion_matrix": confusion_matrix(truth, decisions, labels, known),
        }
    return {
        "num_examples": len(np.asarray(truth)),
        "not_annotated": [name for name, here in zip(labels, scored, strict=True) if not here],
        "macro_f1": macro_f1(truth, decisions, known),
        "micro_f1": micro_f1(truth, decisions, known),
        "samples_f1": samples_f1(truth, decisions, known),
        "macro_ap": float(ap[has_ap].mean()) if has_ap.any() else None,
        **of_one_label,
        **probability_metrics(truth, probabilities, known),
        "per_label": {
            name: {
                "precision": float(precision[i]) if scored[i] else None,
                "recall": float(recall[i]) if scored[i] else None,
                "f1": float(f1[i]) if scored[i] else None,
                "support": int(tp[i] + fn[i]) if scored[i] else None,
                "ap": float(ap[i]) if has_ap[i] else None,
            }
            for i, name in enumerate(labels)
        },
    }


def bootstrap_interval(
    statistic: Callable[[NDArray[np.int64]], float],
    num_examples: int,
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of row indices (Efron 1979).

    Args:
        statistic: value for an index array of shape (N,), drawn with replacement.
        num_examples: N.
        samples: number of resamples.
        level: coverage, 0..1.
        seed: of the resampling.
    """
    generator = np.random.default_rng(seed)
    values = [statistic(generator.integers(0, num_examples, num_examples)) for _ in range(samples)]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
