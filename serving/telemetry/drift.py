"""How far the texts of late are from those the bundle was measured on: the population stability index (PSI)."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from serving.batching.jobs import Row
from shared.bundle import Bundle
from shared.drift import FEWEST_TEXTS, Counts, Histograms, Values, population_stability_index
from shared.profiles import DEFAULT

WINDOW = 4000
"""Texts looked back at: the index is over the last 2,000 to 4,000."""

NEAR = 0.25
"""Mean index above which texts are near to no profile: what is commonly read as a shift."""

NONE_NEAR = "none"


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
        lengths: of these rows in tokens; they are tokenised here when None.
    """

    def __init__(self, bundle: Bundle, lengths: Values | None = None) -> None:
        self._bins = Histograms.of(bundle, lengths)
        self._expected = {DEFAULT: self._bins.expected} | {
            name: self._bins.counts(bundle.calibration.apply(profile.drift.logits), profile.drift.num_tokens)
            for name, profile in bundle.profiles.items()
            if profile.drift is not None
        }
        self._windows = {name: Window(len(counts)) for name, counts in self._expected[DEFAULT].items()}
        self._seen = 0
        self._lock = threading.Lock()

    def add(self, row: Row) -> None:
        """Count one answered text, its probabilities by the default calibration."""
        counts = self._bins.counts(row.probabilities[None], np.array([row.num_tokens]))
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
            if self._seen < FEWEST_TEXTS:
                return {}
            seen = {name: window.counts for name, window in self._windows.items()}
        return {
            profile: {name: population_stability_index(counts, seen[name]) for name, counts in expected.items()}
            for profile, expected in self._expected.items()
        }


def mean_index(indices: Mapping[str, float]) -> float:
    """Mean of the indices of the histograms."""
    return float(np.mean(list(indices.values())))


def nearest_profile(indices: Mapping[str, Mapping[str, float]]) -> str:
    """The profile whose texts have the least mean index; `NONE_NEAR` where even that is above `NEAR`."""
    means = {profile: mean_index(found) for profile, found in indices.items()}
    nearest = min(means, key=lambda name: means[name])
    return nearest if means[nearest] <= NEAR else NONE_NEAR
