"""How far the texts of late are from those the bundle was measured on: the population stability index (PSI)."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serving.batching.jobs import Row
from shared.bundle import Bundle
from shared.profiles import DEFAULT

WINDOW = 4000
"""Texts looked back at: the index is over the last 2,000 to 4,000."""

FEWEST = 200
"""Texts before which an index would only be noise."""

NUM_BINS = 10
REFERENCE_ROWS = 2000
SMOOTHING = 0.5

NEAR = 0.25
"""Mean index above which texts are near to no profile: what is commonly read as a shift."""

NONE_NEAR = "none"

Counts = NDArray[np.float64]


def population_stability_index(expected: ArrayLike, actual: ArrayLike) -> float:
    """sum((a - e) ln(a / e)) over the shares of two histograms, shape (B,); half a count is added to every bin.

    Below 0.1 is commonly read as stable, above 0.25 as a shift (Siddiqi, Credit Risk Scorecards, 2006).
    """
    e, a = (np.asarray(counts, dtype=np.float64) + SMOOTHING for counts in (expected, actual))
    e, a = e / e.sum(), a / a.sum()
    return float(((a - e) * np.log(a / e)).sum())


class Window:
    """Counts per bin of the last texts, in two halves."""

    def __init__(self, num_bins: int) -> None:
        self._halves = np.zeros((2, num_bins))

    def add(self, counts: Counts) -> None:
        """Count one text."""
        self._halves[0] += counts

    def turn(self) -> None:
        """Begin a new half and forget the one before the last."""
        self._halves = np.stack([np.zeros_like(self._halves[0]), self._halves[0]])

    @property
    def counts(self) -> Counts:
        """Of both halves."""
        return np.asarray(self._halves.sum(axis=0))


class Drift:
    """Histograms of decided labels, of confidence and of length, against those of the bundle's reference rows.

    The texts of every profile are measured alike, by the default calibration and policy, so that it can be told which
    of them the texts of late are nearest to.

    Args:
        bundle: its reference rows say what is expected, under its default policy.
    """

    def __init__(self, bundle: Bundle) -> None:
        reference = bundle.reference()
        self._policies = bundle.policies
        probabilities = bundle.calibration.apply(reference.logits[:REFERENCE_ROWS])
        lengths = np.array([row.num_tokens for row in bundle.tokenizer().encode(reference.texts[:REFERENCE_ROWS])])
        self._confidence_edges, self._length_edges = _edges(probabilities.max(axis=1)), _edges(lengths)
        self._expected = {DEFAULT: self._counts(probabilities, lengths)} | {
            name: self._counts(bundle.calibration.apply(profile.drift.logits), profile.drift.num_tokens)
            for name, profile in bundle.profiles.items()
            if profile.drift is not None
        }
        self._windows = {name: Window(len(counts)) for name, counts in self._expected[DEFAULT].items()}
        self._seen = 0
        self._lock = threading.Lock()

    def add(self, row: Row) -> None:
        """Count one answered text, its probabilities by the default calibration."""
        counts = self._counts(row.probabilities[None], np.array([row.num_tokens]))
        with self._lock:
            self._seen += 1
            for name, window in self._windows.items():
                window.add(counts[name])
                if self._seen % (WINDOW // 2) == 0:
                    window.turn()

    def indices(self) -> dict[str, float]:
        """The index of each histogram; empty before enough texts were seen."""
        return self.indices_by_profile().get(DEFAULT, {})

    def indices_by_profile(self) -> dict[str, dict[str, float]]:
        """Profile -> the index of each histogram against the texts it is for; empty before enough texts were seen."""
        with self._lock:
            if self._seen < FEWEST:
                return {}
            seen = {name: window.counts for name, window in self._windows.items()}
        return {
            profile: {name: population_stability_index(counts, seen[name]) for name, counts in expected.items()}
            for profile, expected in self._expected.items()
        }

    def _counts(self, probabilities: NDArray[np.float64], lengths: NDArray[np.integer]) -> dict[str, Counts]:
        """Histogram -> counts of N texts, of probabilities (N, L) and lengths (N,)."""
        decided = self._policies.decide(probabilities)
        return {
            "labels": np.append(decided.sum(axis=0), (~decided.any(axis=1)).sum()).astype(np.float64),
            "confidence": _binned(probabilities.max(axis=1), self._confidence_edges),
            "length": _binned(lengths, self._length_edges),
        }


def mean_index(indices: Mapping[str, float]) -> float:
    """Mean of the indices of the histograms."""
    return float(np.mean(list(indices.values())))


def nearest_profile(indices: Mapping[str, Mapping[str, float]]) -> str:
    """The profile whose texts have the least mean index; `NONE_NEAR` where even that is above `NEAR`."""
    means = {profile: mean_index(found) for profile, found in indices.items()}
    nearest = min(means, key=lambda name: means[name])
    return nearest if means[nearest] <= NEAR else NONE_NEAR


def _edges(values: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
    """Inner edges of bins that hold about as many reference values each."""
    return np.unique(np.quantile(values, np.linspace(0, 1, NUM_BINS + 1)[1:-1]))


def _binned(values: NDArray[np.floating] | NDArray[np.integer], edges: NDArray[np.float64]) -> Counts:
    """Values in each bin, shape (bins,)."""
    places = np.searchsorted(edges, values, side="right")
    return np.bincount(places, minlength=len(edges) + 1).astype(np.float64)
