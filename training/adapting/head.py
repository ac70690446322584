"""The last layer refitted on a user's rows: ridge logistic regression of every label around the parent's layer.

Shapes: N rows, D width of the pooled vectors, L labels, R = min(N, D).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from shared.calibration import Calibration, sigmoid, softmax
from training.adapting.adapt import Adapted, Evidence, LayerChange, Parent, adapt
from training.adapting.recalibration import FOLDS, fit_recalibration, folds, row_nll
from training.adapting.thresholds import SoftRows, refit_policies

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

STRENGTHS = (0.5, 1.0, 2.0, 4.0)
"""Candidates for the standard deviation, in logits, by which the new layer moves a text from the parent's logits."""

RESAMPLES = 1000
"""Of the rows, from which the shares of the candidates are averaged."""

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

    It starts from what `adapt` finds. The layers of all strengths are averaged, the parent's among them, each by how
    well it predicts rows left out; what they are together must gain more than one standard error of its gain in NLL on
    such rows, or the parent's layer stays. Calibration and thresholds are fitted on what the layers that were fitted
    without a row say of it, as a layer is too sure of its own rows.

    Raises:
        ConfigError: as `adapt`.
    """
    base = adapt(parent, evidence, seed)
    scores, truth, known = base.calibration.scores(evidence.logits), evidence.truth, evidence.known
    if len(scores) < 2 * FOLDS:
        return base
    space = Space.of(evidence.pooled)
    features = space.features(evidence.pooled)
    candidates = [scores, *(_cross_fitted(scores, features, truth, known, strength, seed) for strength in STRENGTHS)]
    shares = _shares(np.stack([row_nll(each, truth, known) for each in candidates]), seed)
    left_out = np.tensordot(shares, np.stack(candidates), axes=1)
    gain = row_nll(scores, truth, known) - row_nll(left_out, truth, known)
    gain /= np.maximum(1, known.sum(axis=1))
    if gain.mean() <= gain.std(ddof=1) / np.sqrt(len(gain)):
        return replace(base, notes=(*base.notes, "refitting the last layer gains nothing on these rows: it is kept."))
    again = fit_recalibration(left_out, truth, known, seed)
    before_it = base.calibration
    temperatures = before_it.temperatures / again.slopes
    calibration = Calibration(
        "bias_corrected_temperature", temperatures, fitted_on=f"adapted to {len(scores)} labelled rows",
        biases=again.slopes * before_it.biases + again.shifts,
    )  # fmt: skip
    layers = [_fit(scores, features, truth, known, strength) for strength in STRENGTHS]
    weights, shifts = (np.tensordot(shares[1:], np.stack(part), axes=1) for part in zip(*layers, strict=True))
    rows = SoftRows(sigmoid(again.apply(left_out)), truth, known, np.ones(truth.shape))
    changed = np.asarray(known.any(axis=0))
    policies = refit_policies(base.policies, rows, changed, str(calibration.fitted_on))
    layer = space.layer(weights, shifts, before_it.temperatures)
    return replace(base, calibration=calibration, policies=policies, kept=False, layer=layer)


def _shares(nll: Floats, seed: int) -> Floats:
    """How much each of K candidates counts, shape (K,), by its NLL on N rows left out, shape (K, N).

    Pseudo-BMA with the Bayesian bootstrap (Yao, Vehtari, Simpson and Gelman 2018): in each resample a candidate counts
    by its likelihood, so that few rows, which cannot tell them apart, leave several. https://doi.org/10.1214/17-BA1091
    """
    num_rows = nll.shape[1]
    times = np.random.default_rng(seed).dirichlet(np.ones(num_rows), RESAMPLES) * num_rows
    return np.asarray(softmax(-(times @ nll.T)).mean(axis=0))


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
    """Mode of the posterior of weights (R, L) and shifts (L,) under normal priors around the parent's layer.

    Each coordinate is counted in units of 1 / sqrt(its curvature at the parent's layer), so that few steps are needed.
    """
    inputs = np.column_stack([features, np.ones(len(features))])
    precision = np.array([*[1 / strength**2] * features.shape[1], 1 / SHIFT**2])[:, None]
    p = sigmoid(scores)
    units = 1 / np.sqrt((inputs**2).T @ (p * (1 - p) * known) + precision)

    def loss(flat: Floats) -> tuple[float, Floats]:
        layer = flat.reshape(units.shape) * units
        logits = scores + inputs @ layer
        residual = (sigmoid(logits) - truth) * known
        value = row_nll(logits, truth, known).sum() + (precision * layer**2).sum() / 2
        return float(value), ((inputs.T @ residual + precision * layer) * units).ravel()

    found = minimize(loss, np.zeros(units.size), jac=True, method="L-BFGS-B", options={"maxiter": MAX_STEPS})
    layer = found.x.reshape(units.shape) * units
    return layer[:-1], layer[-1]
