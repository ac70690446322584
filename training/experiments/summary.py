"""Mean, spread and interval of a figure over several runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from training.experiments.trials import FIGURES, Outcome

LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """Mean and standard deviation (n - 1) of n values, and Student's interval of the mean; none for a single value."""

    count: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: Sequence[float], level: float = LEVEL) -> Summary:
        """The mean, and mean +- t(level, n - 1) s / sqrt(n) (Student 1908): for runs that differ by chance alone."""
        count, mean = len(values), float(np.mean(values))
        if count < 2:
            return cls(count, mean, None, None, None)
        deviation = float(np.std(values, ddof=1))
        half = float(student_t.ppf((1 + level) / 2, count - 1)) * deviation / count**0.5
        return cls(count, mean, deviation, mean - half, mean + half)

    def text(self) -> str:
        """The summary as it stands in a table."""
        if self.deviation is None:
            return f"{self.mean:.4f}"
        return f"{self.mean:.4f} +- {self.deviation:.4f} [{self.low:.4f}, {self.high:.4f}]"


def summarise(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Summary]]:
    """Split -> figure -> summary, of the splits that every run has."""
    splits = [name for name in outcomes[0].metrics if all(name in outcome.metrics for outcome in outcomes)]
    return {
        split: {name: Summary.of([outcome.figure(name, split) for outcome in outcomes]) for name in FIGURES}
        for split in splits
    }
