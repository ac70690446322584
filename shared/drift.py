"""How far texts are from others: histograms of what a model says of them, and the population stability index (PSI).

The service's gauge and `emotion drift` count in the same bins. Shapes: N texts, L labels, B bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.bundle import Bundle
from shared.thresholds import Policies

NUM_BINS = 10
REFERENCE_ROWS = 2000
SMOOTHING = 0.5
FEWEST_TEXTS = 200
"""In a histogram of fewer, an index is mostly chance: of N and M texts without drift, it is about (B - 1)(1/N + 1/M)
(Yurdakul, Statistical Properties of Population Stability Index, 2018)."""
STABLE, SHIFTED = 0.1, 0.25
"""Below the first an index is commonly read as stable, above the second as a shift (Siddiqi 2006)."""

Counts = NDArray[np.float64]
Values = NDArray[np.floating] | NDArray[np.integer]


def population_stability_index(expected: ArrayLike, actual: ArrayLike) -> float:
    """sum((a - e) ln(a / e)) over the shares of two histograms, shape (B,); half a count is added to every bin.

    Below 0.1 is commonly read as stable, above 0.25 as a shift (Siddiqi, Credit Risk Scorecards, 2006).
    """
    e, a = (np.asarray(counts, dtype=np.float64) + SMOOTHING for counts in (expected, actual))
    e, a = e / e.sum(), a / a.sum()
    return float(((a - e) * np.log(a / e)).sum())


@dataclass(frozen=True)
class Histograms:
    """The bins that a bundle's reference rows define: labels, confidence and length.

    Attributes:
        policies: decide the labels, under the default policy.
        confidence_edges: inner edges of the bins of the highest probability of a text.
        length_edges: inner edges of the bins of its length in tokens.
        expected: histogram -> counts of the reference rows, shape (B,).
    """

    policies: Policies
    confidence_edges: Counts
    length_edges: Counts
    expected: dict[str, Counts]

    @classmethod
    def of(cls, bundle: Bundle, lengths: Values | None = None) -> Histograms:
        """The bins of the first `REFERENCE_ROWS` reference rows of a bundle, and their counts.

        Args:
            bundle: where they are.
            lengths: what `reference_lengths` says of it; it is asked when None.
        """
        probabilities = bundle.calibration.apply(bundle.reference().logits[:REFERENCE_ROWS])
        lengths = reference_lengths(bundle) if lengths is None else lengths
        bins = cls(bundle.policies, edges(probabilities.max(axis=1)), edges(lengths), {})
        return cls(bins.policies, bins.confidence_edges, bins.length_edges, bins.counts(probabilities, lengths))

    def counts(self, probabilities: NDArray[np.float64], lengths: Values | None) -> dict[str, Counts]:
        """Histogram -> counts of N texts, shape (B,); labels have L bins, and one for texts without any.

        Args:
            probabilities: calibrated, shape (N, L).
            lengths: in tokens, shape (N,); they are not counted when None.
        """
        decided = self.policies.decide(probabilities)
        found = {
            "labels": np.append(decided.sum(axis=0), (~decided.any(axis=1)).sum()).astype(np.float64),
            "confidence": binned(probabilities.max(axis=1), self.confidence_edges),
        }
        return found if lengths is None else {**found, "length": binned(lengths, self.length_edges)}


def reference_lengths(bundle: Bundle) -> NDArray[np.int32]:
    """Lengths in tokens of the reference rows that others are compared with, shape (N,)."""
    encoded = bundle.tokenizer().encode(bundle.reference().texts[:REFERENCE_ROWS])
    return np.array([row.num_tokens for row in encoded], dtype=np.int32)


def edges(values: Values) -> Counts:
    """Inner edges of bins that hold about as many values each."""
    return np.unique(np.quantile(values, np.linspace(0, 1, NUM_BINS + 1)[1:-1]))


def binned(values: Values, inner_edges: Counts) -> Counts:
    """Values in each bin, shape (B,)."""
    places = np.searchsorted(inner_edges, values, side="right")
    return np.bincount(places, minlength=len(inner_edges) + 1).astype(np.float64)
