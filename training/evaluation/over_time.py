"""Metrics month by month, how far each month is from the first ones, and since when something is different.

Shapes: N rows, L labels, M periods, B bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency

from shared.drift import FEWEST_TEXTS, SHIFTED, STABLE, Histograms, population_stability_index
from shared.metrics import brier, macro_f1, micro_f1
from training.evaluation.measures import Predictions, number_or_none

FEWEST = 30
"""Rows before and after a change, below which it is not dated."""

SIGNIFICANCE = 0.01
"""p, corrected for the number of places looked at, below which a change is dated."""


def months(created_s: NDArray[np.float64]) -> list[str]:
    """The month of each row in UTC, such as 2024-07."""
    return [datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m") for seconds in created_s]


def drift_over_periods(
    periods: Sequence[str], probabilities: NDArray[np.float64], lengths: NDArray[np.floating] | None, bins: Histograms
) -> dict[str, Any]:
    """For each period its rows and the stability index of each histogram, against the reference and the first period.

    Args:
        periods: of each row, in an order that sorts as time does.
        probabilities: calibrated, shape (N, L).
        lengths: in tokens, shape (N,), where known.
        bins: of the bundle.

    Returns:
        `periods`, in order of time, and `changes`: histogram -> the period since which it is different, if any.
    """
    names = sorted(set(periods))
    row_of = np.searchsorted(names, np.asarray(periods))
    counted = []
    for place in range(len(names)):
        inside = row_of == place
        counted.append(bins.counts(probabilities[inside], None if lengths is None else lengths[inside]))
    rows = np.bincount(row_of, minlength=len(names))
    table = [
        {
            "period": name, "rows": int(rows[place]),
            "against_reference": _indices(bins.expected, counted[place]),
            "against_first": _indices(counted[0], counted[place]),
        }
        for place, name in enumerate(names)
    ]  # fmt: skip
    changes = {
        name: change_point(np.stack([counts[name] for counts in counted]), names, rows) for name in counted[0]
    }  # fmt: skip
    return {"periods": table, "changes": changes}


def _indices(
    expected: Mapping[str, NDArray[np.float64]], actual: Mapping[str, NDArray[np.float64]]
) -> dict[str, float]:
    return {name: population_stability_index(expected[name], counts) for name, counts in actual.items()}


def change_point(counts: NDArray[np.float64], names: Sequence[str], rows: NDArray[np.integer]) -> dict[str, Any] | None:
    """The period since which the shares of a histogram are others: the split with the largest likelihood ratio.

    The G-test of before against after is made at every place between two periods; the best one counts when its p times
    the number of places (Bonferroni) is below `SIGNIFICANCE` and the index between before and after is above `STABLE`.

    Args:
        counts: of each period, shape (M, B).
        names: of the M periods, in order of time.
        rows: of each period, shape (M,).
    """
    best: dict[str, Any] | None = None
    for place in range(1, len(names)):
        if min(rows[:place].sum(), rows[place:].sum()) < FEWEST:
            continue
        two = np.stack([counts[:place].sum(axis=0), counts[place:].sum(axis=0)])
        two = two[:, two.sum(axis=0) > 0]
        if two.shape[1] < 2:
            continue
        found = chi2_contingency(two, correction=False, lambda_="log-likelihood")
        if best is None or found.statistic > best["g"]:
            index = population_stability_index(*two)
            best = {"since": names[place], "g": float(found.statistic), "p": float(found.pvalue), "index": index}
    if best is None:
        return None
    best["p"] = min(1.0, best["p"] * (len(names) - 1))
    return best if best["p"] < SIGNIFICANCE and best["index"] > STABLE else None


def metrics_over_periods(periods: Sequence[str], rows: Predictions) -> list[dict[str, Any]]:
    """Macro F1, micro F1 and Brier score of each period, in order of time; None where its rows annotate no label."""
    names = sorted(set(periods))
    row_of = np.searchsorted(names, np.asarray(periods))
    found = []
    for place, name in enumerate(names):
        part = rows.take(np.flatnonzero(row_of == place))
        arrays = (part.truth, part.decisions, part.known)
        found.append({
            "period": name, "rows": len(part), "macro_f1": number_or_none(macro_f1(*arrays)),
            "micro_f1": micro_f1(*arrays) if part.known.any() else None,
            "brier": number_or_none(brier(part.truth, part.probabilities, part.known)),
        })  # fmt: skip
    return found


def verdict(index: float, rows: int) -> str | None:
    """An index in words; None where the histograms are of too few rows to say.

    Args:
        index: of two histograms.
        rows: of the smaller one.
    """
    if rows < FEWEST_TEXTS:
        return None
    return "stable" if index < STABLE else "shifted" if index > SHIFTED else "some change"
