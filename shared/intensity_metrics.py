"""How near intensities are to those of the annotators, as the shared tasks measure it.

Pearson and Spearman correlation over all rows, and over those that carry some emotion (WASSA-2017, Mohammad & Bravo-
Marquez 2017; SemEval-2018 Task 1 EI-reg and EI-oc, Mohammad et al. 2018; SemEval-2025 Task 11 B, Muhammad et al. 2025);
quadratic weighted kappa (Cohen 1968) for levels. What cannot be measured, such as a correlation with constant values,
is None and never 0. Shapes: N rows, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.intensity import Scale

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FEWEST = 2
"""Rows that a correlation needs."""


def pearson(first: ArrayLike, second: ArrayLike) -> float | None:
    """Pearson's r of two samples of shape (N,); None for fewer than two rows, or where one does not vary."""
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if len(x) < FEWEST or (x == x[0]).all() or (y == y[0]).all():
        return None
    x, y = x - x.mean(), y - y.mean()
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(np.clip((x @ y) / size, -1.0, 1.0)) if size > 0 else None


def ranks(values: ArrayLike) -> Floats:
    """Ranks from 1 on, shape (N,); equal values share the mean of their ranks."""
    _, place, counts = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[place])


def spearman(first: ArrayLike, second: ArrayLike) -> float | None:
    """Spearman's rho of two samples of shape (N,), ties with mean ranks; None as for `pearson`."""
    if len(np.asarray(first)) < FEWEST:
        return None
    return pearson(ranks(first), ranks(second))


def quadratic_kappa(first: ArrayLike, second: ArrayLike, num_levels: int) -> float | None:
    """1 - sum(w o) / sum(w e) of level numbers 0..K-1 of shape (N,), w = (i - j)^2; None where chance disagrees never.

    Args:
        first: level numbers.
        second: level numbers.
        num_levels: K.
    """
    a, b = np.asarray(first, dtype=np.intp), np.asarray(second, dtype=np.intp)
    if not len(a):
        return None
    observed = np.zeros((num_levels, num_levels))
    np.add.at(observed, (a, b), 1.0)
    weights = np.subtract.outer(np.arange(num_levels), np.arange(num_levels)).astype(np.float64) ** 2
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / len(a)
    chance = float((weights * expected).sum())
    return 1.0 - float((weights * observed).sum()) / chance if chance > 0 else None


def some_emotion(shares: Floats, scale: Scale) -> Bools:
    """Gold shares of the range that carry some emotion: at least half of a continuous scale, above the lowest level."""
    return shares >= 0.5 if scale.step is None else shares > 1e-9


def evaluate_intensities(
    gold: Floats, found: Floats, known: Bools, labels: Sequence[str], scale: Scale, *,
    levels: Floats | None = None, intervals: tuple[Floats, Floats] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Metrics of each label and their means, ready for JSON.

    Args:
        gold: annotated intensities on the scale, shape (N, L).
        found: predicted ones, shape (N, L).
        known: entries that are annotated; the others count nowhere, shape (N, L).
        labels: names of the L columns.
        scale: of both.
        levels: levels decided, on the scale, shape (N, L), where the scale is ordinal.
        intervals: lower and upper ends, both of shape (N, L); their coverage is measured.
    """
    per_label = {}
    for place, name in enumerate(labels):
        rows = known[:, place]
        ends = None if intervals is None else (intervals[0][rows, place], intervals[1][rows, place])
        decided = None if levels is None else levels[rows, place]
        per_label[name] = _label(gold[rows, place], found[rows, place], scale, decided, ends)
    keys = next(iter(per_label.values())).keys() - {"rows", "rows_some"}
    means = {key: _mean([row[key] for row in per_label.values()]) for key in sorted(keys)}
    return {
        "num_examples": len(gold),
        "scale": scale.to_json(),
        **means,
        "per_label": per_label,
        "not_annotated": [name for name, row in per_label.items() if not row["rows"]],
        "undefined": [name for name, row in per_label.items() if row["rows"] and row["pearson"] is None],
    }


def _label(
    gold: Floats, found: Floats, scale: Scale, decided: Floats | None, ends: tuple[Floats, Floats] | None
) -> dict[str, Any]:
    some = some_emotion(scale.shares(gold), scale)
    errors = found - gold
    row: dict[str, Any] = {
        "rows": len(gold), "rows_some": int(some.sum()),
        "pearson": pearson(gold, found), "pearson_some": pearson(gold[some], found[some]),
        "spearman": spearman(gold, found), "spearman_some": spearman(gold[some], found[some]),
        "mae": float(np.abs(errors).mean()) if len(gold) else None,
        "rmse": float(np.sqrt((errors**2).mean())) if len(gold) else None,
    }  # fmt: skip
    if decided is not None and scale.step is not None and scale.num_levels is not None:
        a, b = (np.rint((values - scale.low) / scale.step) for values in (gold, decided))
        number = scale.num_levels
        row |= {
            "level_pearson": pearson(a, b), "level_pearson_some": pearson(a[some], b[some]),
            "kappa": quadratic_kappa(a, b, number), "kappa_some": quadratic_kappa(a[some], b[some], number),
            "level_accuracy": float((a == b).mean()) if len(a) else None,
        }  # fmt: skip
    if ends is not None:
        inside = (gold >= ends[0] - 1e-9) & (gold <= ends[1] + 1e-9)
        row |= {
            "coverage": float(inside.mean()) if len(gold) else None,
            "interval_width": float((ends[1] - ends[0]).mean()) if len(gold) else None,
        }
    return row


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None
