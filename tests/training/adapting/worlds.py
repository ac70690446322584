"""Texts of which everything is known: labels at given rates, and logits that are right about them, or not.

The evidence of a label is normal with mean +-d / 2 and variance 1, so its log likelihood ratio is d x, and
logit(rate) + d x is exactly calibrated: Bayes' rule by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from shared.calibration import Calibration
from shared.thresholds import Policies
from training.adapting.adapt import Adapted, Evidence, Parent
from training.calibration.policies import fit_policies
from training.config import CalibrationConfig


@dataclass(frozen=True)
class World:
    """L labels with their rates and how well evidence tells them apart; `believed` are the rates the logits assume."""

    rates: np.ndarray
    separations: np.ndarray
    believed: np.ndarray
    slope: float = 1.0

    def draw(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Logits and truth of `count` texts, shape (N, L)."""
        random = np.random.default_rng(seed)
        truth = random.random((count, len(self.rates))) < self.rates
        evidence = np.where(truth, self.separations / 2, -self.separations / 2) + random.normal(size=truth.shape)
        return self.slope * (logit(self.believed) + self.separations * evidence), truth

    def macro_f1(self, decided: Parent | Adapted) -> float:
        """Of decisions on all texts there are: rates of decided positives and negatives by the normal distribution."""
        calibration, thresholds = decided.calibration, decided.policies.get()
        logits = calibration.temperatures * (logit(thresholds) - calibration.biases)
        least = (logits / self.slope - logit(self.believed)) / self.separations
        right = self.rates * norm.sf(least - self.separations / 2)
        wrong = (1 - self.rates) * norm.sf(least + self.separations / 2)
        return float((2 * right / (right + wrong + self.rates)).mean())

    def elsewhere(self, rates: np.ndarray, separation: float = 1.0) -> World:
        """Other texts: other rates, evidence of another strength; the logits believe what they did."""
        return World(rates, self.separations * separation, self.believed, self.slope)


def world(num_labels: int = 12, seed: int = 0, rare: float = 0.02, common: float = 0.3) -> World:
    random = np.random.default_rng(seed)
    rates = np.exp(random.uniform(np.log(rare), np.log(common), num_labels))
    return World(rates, random.uniform(1.6, 3.2, num_labels), rates)


def parent_of(home: World, temperature: float = 1.0, count: int = 4000) -> Parent:
    """A bundle's decisions, fitted on `count` texts of its home."""
    logits, truth = home.draw(count, seed=1000)
    known = np.ones(truth.shape, dtype=bool)
    labels = tuple(f"label {number}" for number in range(len(home.rates)))
    calibration = Calibration("temperature", np.full(len(labels), temperature), fitted_on="dev")
    policies = fit_policies(
        truth, calibration.apply(logits), known, labels=labels, config=CalibrationConfig(), split="dev"
    )
    return Parent(calibration, Policies(labels, policies.values, "dev"), logits, truth, known)


def evidence(
    logits: np.ndarray,
    truth: np.ndarray | None = None,
    *,
    known: np.ndarray | None = None,
    unlabelled: np.ndarray | None = None,
    frequencies: np.ndarray | None = None,
) -> Evidence:
    num_labels = logits.shape[1]
    nothing = np.zeros((0, num_labels))
    rows = nothing if truth is None else logits
    truth = nothing.astype(bool) if truth is None else truth
    return Evidence(
        rows, truth, np.ones(truth.shape, dtype=bool) if known is None else known,
        nothing if unlabelled is None else unlabelled,
        np.full(num_labels, np.nan) if frequencies is None else frequencies,
    )  # fmt: skip


def shifted(rates: np.ndarray, seed: int = 5, mean: float = 1.0) -> np.ndarray:
    """Other rates, moved by normal steps in log odds."""
    return np.asarray(expit(logit(rates) + np.random.default_rng(seed).normal(mean, 1.0, len(rates))))
