"""Temperatures and label priors refitted on a user's rows, shrunk towards the parent's by how much the rows say.

Shapes: N rows, L labels. Scores are the parent's calibrated logits, s = z / T + b.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.calibration import sigmoid

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Mode = tuple[Floats, Floats]
"""Log slope and shift of every label, shape (L, 2), and the ones that they share, shape (2,)."""

SPREADS = (0.15, 0.3, 0.5, 0.7, 1.0, 1.5)
"""Candidates for the standard deviation of a label's own shift, in logits, around the shift that all labels share."""

SHARED_SHIFT = 2.0
SHARED_SLOPE = 0.5
SLOPE_PER_SHIFT = 0.25
"""A label's own log slope varies by this much of its shift: rows tell of frequencies before they tell of slopes."""

FOLDS = 5

MAX_STEPS = 50
SMALLEST_STEP = 1e-4
TOLERANCE = 1e-6
"""Of the log posterior, in nats."""


@dataclass(frozen=True)
class Recalibration:
    """New logits of every label, `slopes * s + shifts`; both of shape (L,), slopes positive, so ranks stay.

    Attributes:
        spread: the standard deviation that was chosen among `SPREADS`; None where the parent is kept.
        gain: NLL a cell that it gained over the parent on rows left out, mean and standard error.
        nll: a cell of rows left out, in nats, by what was chosen; infinite where nothing was fitted.
    """

    slopes: Floats
    shifts: Floats
    spread: float | None = None
    gain: tuple[float, float] = (0.0, 0.0)
    nll: float = np.inf

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
    gains = np.tile(parent / cells, (len(SPREADS), 1))
    for inside, outside in folds(num_rows, FOLDS, seed):
        mode = None
        for row, spread in zip(gains, SPREADS, strict=True):
            fitted, mode = _fit(scores[inside], truth[inside], known[inside], spread, mode)
            row[outside] -= row_nll(fitted.apply(scores[outside]), truth[outside], known[outside]) / cells[outside]
    best = int(gains.mean(axis=1).argmax())
    gain, error = float(gains[best].mean()), float(gains[best].std(ddof=1) / np.sqrt(num_rows))
    before = float((parent / cells).mean())
    if gain <= error:
        return replace(identity, gain=(gain, error), nll=before)
    return replace(_fit(scores, truth, known, SPREADS[best])[0], gain=(gain, error), nll=before - gain)


def row_nll(logits: Floats, truth: Bools, known: Bools) -> Floats:
    """Negative log likelihood of every row over its known cells, in nats, shape (N,)."""
    return np.asarray(((np.logaddexp(0.0, logits) - truth * logits) * known).sum(axis=1))


def folds(num_rows: int, count: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Row numbers inside and outside of each of `count` random folds."""
    order = np.random.default_rng(seed).permutation(num_rows)
    for part in np.array_split(order, count):
        yield np.setdiff1d(order, part), part


def _fit(
    scores: Floats, truth: Bools, known: Bools, spread: float, start: Mode | None = None
) -> tuple[Recalibration, Mode]:
    """The mode of the posterior: log slope = shared + own, shift at the label's usual score = shared + own.

    By Fisher scoring, halving steps that go up, from the parent or from the mode of the same rows for a spread nearby.
    The labels meet in the shared pair alone, so a step is one system of 2 x 2 a label and one for the pair (Schur
    complement).
    """
    has_rows: Bools = np.asarray(known.any(axis=0))
    num_labels = scores.shape[1]
    counted = np.maximum(1, known.sum(axis=0))
    mean = np.clip((sigmoid(scores) * known).sum(axis=0) / counted, 1e-6, 1 - 1e-6)
    centre = np.log(mean) - np.log1p(-mean)
    away = scores - centre
    own = np.diag([1 / (SLOPE_PER_SHIFT * spread) ** 2, 1 / spread**2])
    shared = np.diag([1 / SHARED_SLOPE**2, 1 / SHARED_SHIFT**2])

    def loss(pairs: Floats, pair: Floats) -> float:
        nll = row_nll(np.exp(pairs[:, 0]) * away + (centre + pairs[:, 1]), truth, known).sum()
        return float(nll + ((pairs - pair) ** 2 @ own.diagonal()).sum() / 2 + pair**2 @ shared.diagonal() / 2)

    pairs, pair = start or (np.zeros((num_labels, 2)), np.zeros(2))
    value = loss(pairs, pair)
    for _ in range(MAX_STEPS):
        scaled = np.exp(pairs[:, 0]) * away
        p = sigmoid(scaled + (centre + pairs[:, 1]))
        residual, weight = (p - truth) * known, p * (1 - p) * known
        apart = (pairs - pair) @ own
        gradient = np.stack([(residual * scaled).sum(axis=0), residual.sum(axis=0)], axis=1) + apart
        both, mixed = (weight * scaled**2).sum(axis=0), (weight * scaled).sum(axis=0)
        curvature = np.stack([both, mixed, mixed, weight.sum(axis=0)], axis=1).reshape(-1, 2, 2) + own
        inverse: Floats = np.asarray(np.linalg.inv(curvature), np.float64)
        alone = np.einsum("lij,lj->li", inverse, gradient)
        rest = shared + num_labels * own - own @ inverse.sum(axis=0) @ own
        wanted = shared @ pair - apart.sum(axis=0) + own @ alone.sum(axis=0)
        step: Floats = np.asarray(np.linalg.solve(rest, wanted), np.float64)
        steps = alone + np.einsum("lij,j->li", inverse @ own, step)
        size = 1.0
        while (new := loss(pairs - size * steps, pair - size * step)) > value and size > SMALLEST_STEP:
            size /= 2
        if value - new <= TOLERANCE:
            break
        pairs, pair, value = pairs - size * steps, pair - size * step, new
    slopes = np.where(has_rows, np.exp(pairs[:, 0]), 1.0)
    shifts = centre * (1 - slopes) + pairs[:, 1]
    return Recalibration(slopes, np.where(has_rows, shifts, 0.0), spread), (pairs, pair)
