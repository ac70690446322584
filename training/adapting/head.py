"""The last layer refitted on a user's rows: ridge logistic regression of every label around the parent's layer.

Shapes: N rows, D width of the pooled vectors, L labels, R = min(N, D).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from shared.calibration import Calibration, sigmoid
from training.adapting.adapt import Adapted, Evidence, LayerChange, Parent, adapt
from training.adapting.recalibration import FOLDS, fit_recalibration, folds, row_nll
from training.adapting.thresholds import SoftRows, refit_policies

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Candidates for the standard deviation, in logits, by which the new layer moves a text from the parent's logits."""

SHIFT = 0.5
"""Standard deviation of the bias that goes with them: frequencies are fitted before."""

MAX_STEPS = 200


@dataclass(frozen=True)
class Space:
    """Pooled vectors, centred and scaled to a mean square length of 1, and turned into their R principal axes.

    Attributes:
        mean: of the vectors, shape (D,).
        scale: root mean square of their distance to it.
        axes: shape (R, D), orthonormal.
    """

    mean: Floats
    scale: float
    axes: Floats

    @classmethod
    def of(cls, pooled: NDArray[np.float32]) -> Space:
        """The space of N vectors, shape (N, D)."""
        vectors = pooled.astype(np.float64)
        mean = vectors.mean(axis=0)
        scale = float(np.sqrt(((vectors - mean) ** 2).sum(axis=1).mean())) or 1.0
        return cls(mean, scale, np.linalg.svd((vectors - mean) / scale, full_matrices=False)[2])

    def features(self, pooled: NDArray[np.float32]) -> Floats:
        """Coordinates of vectors, shape (N, R)."""
        return np.asarray(((pooled.astype(np.float64) - self.mean) / self.scale) @ self.axes.T)

    def layer(self, weights: Floats, shifts: Floats, factors: Floats) -> LayerChange:
        """What must be added to a layer for its logits to move by factors * (features @ weights + shifts)."""
        weight = self.axes.T @ weights / self.scale * factors
        return LayerChange(weight, shifts * factors - self.mean @ weight)


def adapt_head(parent: Parent, evidence: Evidence, seed: int = 0) -> Adapted:
    """Fit the last layer to the labelled rows, then calibration and policies as `adapt` does.

    It starts from what `adapt` finds, and stays there unless the best strength gains more than one standard error of
    its gain in NLL on rows left out. Calibration and thresholds are fitted on what the layers that were fitted without
    a row say of it, as a layer is too sure of its own rows.

    Raises:
        ConfigError: as `adapt`.
    """
    base = adapt(parent, evidence, seed)
    scores, truth, known = base.calibration.scores(evidence.logits), evidence.truth, evidence.known
    if len(scores) < 2 * FOLDS:
        return base
    space = Space.of(evidence.pooled)
    features = space.features(evidence.pooled)
    left_out = {strength: _cross_fitted(scores, features, truth, known, strength, seed) for strength in STRENGTHS}
    before = row_nll(scores, truth, known)
    cells = np.maximum(1, known.sum(axis=1))
    gains = {strength: (before - row_nll(found, truth, known)) / cells for strength, found in left_out.items()}
    strength = max(gains, key=lambda name: float(gains[name].mean()))
    gain = gains[strength]
    if gain.mean() <= gain.std(ddof=1) / np.sqrt(len(gain)):
        return replace(base, notes=(*base.notes, "refitting the last layer gains nothing on these rows: it is kept."))
    again = fit_recalibration(left_out[strength], truth, known, seed)
    before_it = base.calibration
    temperatures = before_it.temperatures / again.slopes
    calibration = Calibration(
        "bias_corrected_temperature", temperatures, fitted_on=f"adapted to {len(scores)} labelled rows",
        biases=again.slopes * before_it.biases + again.shifts,
    )  # fmt: skip
    weights, shifts = _fit(scores, features, truth, known, strength)
    rows = SoftRows(sigmoid(again.apply(left_out[strength])), truth, known, np.ones(truth.shape))
    changed = np.asarray(known.any(axis=0))
    policies = refit_policies(base.policies, rows, changed, str(calibration.fitted_on))
    layer = space.layer(weights, shifts, before_it.temperatures)
    return replace(base, calibration=calibration, policies=policies, kept=False, layer=layer)


def _cross_fitted(  # noqa: PLR0917  (the arguments of `_fit`, and the seed)
    scores: Floats, features: Floats, truth: Bools, known: Bools, strength: float, seed: int
) -> Floats:
    """Scores of every row by a layer that was fitted without it, shape (N, L)."""
    found = np.empty(scores.shape)
    for inside, outside in folds(len(scores), FOLDS, seed):
        weights, shifts = _fit(scores[inside], features[inside], truth[inside], known[inside], strength)
        found[outside] = scores[outside] + features[outside] @ weights + shifts
    return found


def _fit(scores: Floats, features: Floats, truth: Bools, known: Bools, strength: float) -> tuple[Floats, Floats]:
    """Mode of the posterior of weights (R, L) and shifts (L,) under normal priors around the parent's layer."""
    rank, num_labels = features.shape[1], scores.shape[1]

    def loss(flat: Floats) -> tuple[float, Floats]:
        both = flat.reshape(rank + 1, num_labels)
        weights, shifts = both[:-1], both[-1]
        logits = scores + features @ weights + shifts
        residual = (sigmoid(logits) - truth) * known
        value = row_nll(logits, truth, known).sum()
        value += (weights**2).sum() / (2 * strength**2) + (shifts**2).sum() / (2 * SHIFT**2)
        gradient = np.vstack([
            features.T @ residual + weights / strength**2, residual.sum(axis=0) + shifts / SHIFT**2,
        ])  # fmt: skip
        return float(value), gradient.ravel()

    start = np.zeros((rank + 1) * num_labels)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": MAX_STEPS}).x
    both = found.reshape(rank + 1, num_labels)
    return both[:-1], both[-1]
