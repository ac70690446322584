"""How far the texts of late are from those the bundle was measured on: the population stability index (PSI)."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serving.batching.jobs import Row
from shared.bundle import Bundle

WINDOW = 4000
"""Texts looked back at: the index is over the last 2,000 to 4,000."""

FEWEST = 200
"""Texts before which an index would only be noise."""

NUM_BINS = 10
REFERENCE_ROWS = 2000
SMOOTHING = 0.5


def population_stability_index(expected: ArrayLike, actual: ArrayLike) -> float:
    """sum((a - e) ln(a / e)) over the shares of two histograms, shape (B,); half a count is added to every bin.

    Below 0.1 is commonly read as stable, above 0.25 as a shift (Siddiqi, Credit Risk Scorecards, 2006).
    """
    e, a = (np.asarray(counts, dtype=np.float64) + SMOOTHING for counts in (expected, actual))
    e, a = e / e.sum(), a / a.sum()
    return float(((a - e) * np.log(a / e)).sum())


class Histogram:
    """Counts per bin: those of the reference, and those of the last texts in two halves of a window."""

    def __init__(self, expected: NDArray[np.float64]) -> None:
        self._expected = expected
        self._halves = np.zeros((2, len(expected)))

    def add(self, counts: NDArray[np.float64]) -> None:
        """Count one text."""
        self._halves[0] += counts

    def turn(self) -> None:
        """Begin a new half and forget the one before the last."""
        self._halves = np.stack([np.zeros_like(self._halves[0]), self._halves[0]])

    def index(self) -> float:
        """The population stability index of the window."""
        return population_stability_index(self._expected, self._halves.sum(axis=0))


class Drift:
    """Histograms of decided labels, of confidence and of length, against the bundle's reference rows.

    Args:
        bundle: its reference rows say what is expected, under its default policy.
    """

    def __init__(self, bundle: Bundle) -> None:
        reference = bundle.reference()
        self._policies = bundle.policies
        probabilities = bundle.calibration.apply(reference.logits[:REFERENCE_ROWS])
        confidence = probabilities.max(axis=1)
        lengths = np.array([row.num_tokens for row in bundle.tokenizer().encode(reference.texts[:REFERENCE_ROWS])])
        self._confidence_edges, self._length_edges = _edges(confidence), _edges(lengths)
        self._histograms = {
            "labels": Histogram(self._label_counts(probabilities).sum(axis=0)),
            "confidence": Histogram(_counts(confidence, self._confidence_edges).sum(axis=0)),
            "length": Histogram(_counts(lengths, self._length_edges).sum(axis=0)),
        }
        self._seen = 0
        self._lock = threading.Lock()

    def add(self, row: Row) -> None:
        """Count one answered text."""
        counts = {
            "labels": self._label_counts(row.probabilities[None])[0],
            "confidence": _counts(row.probabilities.max(keepdims=True), self._confidence_edges)[0],
            "length": _counts(np.array([row.num_tokens]), self._length_edges)[0],
        }
        with self._lock:
            self._seen += 1
            for name, histogram in self._histograms.items():
                histogram.add(counts[name])
                if self._seen % (WINDOW // 2) == 0:
                    histogram.turn()

    def indices(self) -> dict[str, float]:
        """The index of each histogram; empty before enough texts were seen."""
        with self._lock:
            if self._seen < FEWEST:
                return {}
            return {name: histogram.index() for name, histogram in self._histograms.items()}

    def _label_counts(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Decided labels of each text and, in the last column, whether none was: shape (N, L + 1)."""
        decided = self._policies.decide(probabilities)
        return np.column_stack([decided, ~decided.any(axis=1)]).astype(np.float64)


def _edges(values: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
    """Inner edges of bins that hold about as many reference values each."""
    return np.unique(np.quantile(values, np.linspace(0, 1, NUM_BINS + 1)[1:-1]))


def _counts(values: NDArray[np.floating] | NDArray[np.integer], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The bin of each value as a row with a single 1, shape (N, bins)."""
    return np.eye(len(edges) + 1)[np.searchsorted(edges, values, side="right")]
