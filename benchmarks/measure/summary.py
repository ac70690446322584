"""Medians with their spread, ratios within rounds, and percentiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

Values = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """A median with the quartiles around it, of `count` values."""

    median: float
    low: float
    high: float
    count: int

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def summarise(values: Values) -> Summary:
    """Median and quartiles.

    Raises:
        ValueError: when there are no values.
    """
    if len(values) == 0:
        raise ValueError("no values to summarise.")
    return Summary(float(median(values)), percentile(values, 25), percentile(values, 75), len(values))


def speedup(slow: Values, fast: Values) -> Summary:
    """How many times faster `fast` is, from the quotients within each round: a slow minute of the machine cancels out.

    Args:
        slow: seconds, shape (R,).
        fast: seconds of the other contender in the same R rounds.

    Raises:
        ValueError: when the two were not taken in the same rounds.
    """
    if len(slow) != len(fast):
        raise ValueError(f"{len(slow)} and {len(fast)} rounds cannot be compared: they must be the same ones.")
    return summarise([a / b for a, b in zip(slow, fast, strict=True)])


def percentile(values: Values, percent: float) -> float:
    """The nearest-rank percentile: the smallest value that at least `percent` % of all do not exceed.

    It is always a value that was measured. https://en.wikipedia.org/wiki/Percentile#The_nearest-rank_method

    Raises:
        ValueError: when there are no values or `percent` is not in 0 to 100.
    """
    if len(values) == 0:
        raise ValueError("no values to take a percentile of.")
    if not 0 <= percent <= 100:
        raise ValueError(f"percentile {percent} is not in 0 to 100.")
    rank = max(1, math.ceil(percent / 100 * len(values)))
    return float(np.partition(np.asarray(values, dtype=np.float64), rank - 1)[rank - 1])
