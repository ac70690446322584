"""Temperatures and label priors refitted on a user's rows, shrunk towards the parent's by how much the rows say.

Shapes: N rows, L labels. Scores are the parent's calibrated logits, s = z / T + b.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from shared.calibration import sigmoid

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SPREADS = (0.15, 0.5, 1.5)
"""Candidates for the standard deviation of a label's own shift, in logits, around the shift that all labels share."""

SHARED_SHIFT = 2.0
SHARED_SLOPE = 0.5
SLOPE_PER_SHIFT = 0.25
"""A label's own log slope varies by this much of its shift: rows tell of frequencies before they tell of slopes."""

FOLDS = 5


@dataclass(frozen=True)
class Recalibration:
    """New logits of every label, `slopes * s + shifts`; both of shape (L,), slopes positive, so ranks stay.

    Attributes:
        spread: the standard deviation that was chosen among `SPREADS`; None where the parent is kept.
        gain: NLL a cell that it gained over the parent on rows left out, mean and standard error.
    """

    slopes: Floats
    shifts: Floats
    spread: float | None = None
    gain: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def identity(cls, num_labels: int) -> Recalibration:
        """The parent's own."""
        return cls(np.ones(num_labels), np.zeros(num_labels))

    def apply(self, scores: Floats) -> Floats:
        """New logits, shape (N, L)."""
        return scores * self.slopes + self.shifts


def fit_recalibration(scores: Floats, truth: Bools, known: Bools, seed: int = 0) -> Recalibration:
    """The recalibration whose strength of shrinkage predicts rows left out best; the parent where none clearly does.

    Platt scaling (Platt 1999) of every label with a hierarchical normal prior, its mode found by maximum a posteriori;
    empirical Bayes: the spread of the prior is chosen by cross-validated NLL. A label without annotated rows keeps the
    parent's. The parent is kept unless the best candidate gains more than one standard error of its gain over the rows
    (the rule of one standard error, Breiman et al. 1984).
    """
    num_rows, num_labels = scores.shape
    identity = Recalibration.identity(num_labels)
    if num_rows < 2 * FOLDS:
        return identity
    cells = np.maximum(1, known.sum(axis=1))
    parent = row_nll(scores, truth, known)
    gains = {}
    for spread in SPREADS:
        found = np.empty(num_rows)
        for inside, outside in folds(num_rows, FOLDS, seed):
            fitted = _fit(scores[inside], truth[inside], known[inside], spread)
            found[outside] = row_nll(fitted.apply(scores[outside]), truth[outside], known[outside])
        gains[spread] = (parent - found) / cells
    spread = max(gains, key=lambda name: gains[name].mean())
    gain, error = float(gains[spread].mean()), float(gains[spread].std(ddof=1) / np.sqrt(num_rows))
    if gain <= error:
        return Recalibration(identity.slopes, identity.shifts, None, (gain, error))
    best = _fit(scores, truth, known, spread)
    return Recalibration(best.slopes, best.shifts, spread, (gain, error))


def row_nll(logits: Floats, truth: Bools, known: Bools) -> Floats:
    """Negative log likelihood of every row over its known cells, in nats, shape (N,)."""
    return np.asarray(((np.logaddexp(0.0, logits) - truth * logits) * known).sum(axis=1))


def folds(num_rows: int, count: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Row numbers inside and outside of each of `count` random folds."""
    order = np.random.default_rng(seed).permutation(num_rows)
    for part in np.array_split(order, count):
        yield np.setdiff1d(order, part), part


def _fit(scores: Floats, truth: Bools, known: Bools, spread: float) -> Recalibration:
    """The mode of the posterior: log slope = shared + own, shift at the label's usual score = shared + own."""
    has_rows: Bools = np.asarray(known.any(axis=0))
    num_labels = scores.shape[1]
    counted = np.maximum(1, known.sum(axis=0))
    mean = np.clip((sigmoid(scores) * known).sum(axis=0) / counted, 1e-6, 1 - 1e-6)
    centre = np.log(mean) - np.log1p(-mean)
    away = scores - centre
    own_slope = SLOPE_PER_SHIFT * spread

    def loss(flat: Floats) -> tuple[float, Floats]:
        slope, shift, slopes, shifts = flat[0], flat[1], flat[2 : 2 + num_labels], flat[2 + num_labels :]
        factor = np.exp(slope + slopes)
        logits = factor * away + (centre + shift + shifts)
        residual = (sigmoid(logits) - truth) * known
        value = ((np.logaddexp(0.0, logits) - truth * logits) * known).sum()
        value += slope**2 / (2 * SHARED_SLOPE**2) + shift**2 / (2 * SHARED_SHIFT**2)
        value += (slopes**2).sum() / (2 * own_slope**2) + (shifts**2).sum() / (2 * spread**2)
        by_slope, by_shift = (residual * away).sum(axis=0) * factor, residual.sum(axis=0)
        gradient = np.concatenate([
            [by_slope.sum() + slope / SHARED_SLOPE**2, by_shift.sum() + shift / SHARED_SHIFT**2],
            by_slope + slopes / own_slope**2, by_shift + shifts / spread**2,
        ])  # fmt: skip
        return float(value), gradient

    flat = minimize(loss, np.zeros(2 + 2 * num_labels), jac=True, method="L-BFGS-B").x
    slopes = np.where(has_rows, np.exp(flat[0] + flat[2 : 2 + num_labels]), 1.0)
    shifts = centre * (1 - slopes) + flat[1] + flat[2 + num_labels :]
    return Recalibration(slopes, np.where(has_rows, shifts, 0.0), spread)
