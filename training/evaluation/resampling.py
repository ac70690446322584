"""Bootstrap intervals of every metric, for one model and, on the same resamples, for the differences of several.

Up to `LARGEST` rows the percentile bootstrap (Efron 1979). Beyond, the bag of little bootstraps (Kleiner et al. 2014):
a few random subsets of that size, each resampled to the full number of rows, and the mean of their errors around the
estimate on all rows; time and memory then no longer grow with the number of rows.
Shapes: N rows, L labels, S resamples.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.measures import Floats, Measures, Predictions

LEVEL = 0.95
LARGEST = 20_000
"""Rows that are resampled as they are, and rows of a subset where there are more."""

SUBSETS = 5
DRAWN_AT_ONCE = 2_000_000
"""Draws held at a time."""


@dataclass(frozen=True)
class Errors:
    """How far resampled metrics lie from those of the rows they were drawn from.

    Attributes:
        values: metric -> for each subset of rows the S errors, shape (K, S) or (K, S, L).
    """

    values: Mapping[str, Floats]

    def interval(self, name: str, estimate: float | Floats) -> tuple[Floats, Floats]:
        """Lower and upper end around the estimate on all rows, each of its shape; NaN where there is no value."""
        with warnings.catch_warnings():  # a label without a value stays without one
            warnings.filterwarnings("ignore", "All-NaN")
            edges = np.nanquantile(self.values[name], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
        low, high = edges.mean(axis=1)
        return np.asarray(estimate + low), np.asarray(estimate + high)

    def p_value(self, name: str, estimate: float | Floats) -> Floats:
        """Two-sided p of "the true value is 0": twice the smaller share of resamples on either side of it.

        At least 1 / (S + 1), as the sample itself counts as one of the resamples.
        """
        around = np.asarray(estimate) + self.values[name]
        count = (~np.isnan(around)).sum(axis=1)
        below, above = (around <= 0).sum(axis=1), (around >= 0).sum(axis=1)
        return np.asarray(np.minimum(1.0, 2 * (np.minimum(below, above) + 1) / (count + 1)).mean(axis=0))

    def minus(self, other: Errors) -> Errors:
        """Errors of the difference of two models' metrics, resample by resample."""
        return Errors({name: values - other.values[name] for name, values in self.values.items()})


def resample(candidates: Sequence[Predictions], *, samples: int, seed: int) -> list[Errors]:
    """The errors of every metric of each candidate, all on the same draws.

    Args:
        candidates: predictions of one or more models for the same N rows.
        samples: S, resamples in all.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    subsets = _subsets(len(candidates[0]), generator)
    each = max(1, samples // len(subsets))
    parts = [_errors_within(candidates, rows, each, generator) for rows in subsets]
    return [
        Errors({name: _centred(name, np.stack([part[place][name] for part in parts])) for name in parts[0][place]})
        for place in range(len(candidates))
    ]


def _centred(name: str, errors: Floats) -> Floats:
    """The errors of a metric, those of a calibration error without their mean.

    A mean of absolute values grows with noise, so that resamples of any rows are less calibrated than the rows: without
    the centring an interval may not even hold the estimate.
    """
    return errors - errors.mean(axis=1, keepdims=True) if name.startswith("ece_") else errors


def _subsets(count: int, generator: np.random.Generator) -> list[NDArray[np.intp]]:
    if count <= LARGEST:
        return [np.arange(count)]
    return [np.sort(generator.choice(count, LARGEST, replace=False)) for _ in range(SUBSETS)]


def _errors_within(
    candidates: Sequence[Predictions], rows: NDArray[np.intp], samples: int, generator: np.random.Generator
) -> list[dict[str, Floats]]:
    """Metrics of resamples of some rows minus those of the rows, of each candidate."""
    total = len(candidates[0])
    measures = [Measures(candidate.take(rows)) for candidate in candidates]
    once = [measure.under(np.ones((1, len(rows)))) for measure in measures]
    collected: list[list[dict[str, Floats]]] = [[] for _ in candidates]
    step = max(1, DRAWN_AT_ONCE // len(rows))
    for start in range(0, samples, step):
        shares = np.full(len(rows), 1 / len(rows))
        drawn = generator.multinomial(total, shares, size=min(step, samples - start))
        for place, measure in enumerate(measures):
            collected[place].append(measure.under(drawn))
    return [
        {name: np.concatenate([chunk[name] for chunk in chunks]) - base[name] for name in base}
        for chunks, base in zip(collected, once, strict=True)
    ]
