"""Temperatures fitted on dev: calibrated probabilities.

Shapes: N examples, L labels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from shared.calibration import Calibration
from shared.errors import ConfigError
from shared.metrics import probability_metrics
from training.calibration.bias_corrected import fit_bias_corrected
from training.config import PER_LABEL, CalibrationConfig

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LOG_RANGE = (-4.0, 4.0)
"""Bounds of log T: temperatures from 1/55 to 55."""


def fit_calibration(
    logits: NDArray[np.floating],
    truth: Bools,
    known: Bools,
    *,
    config: CalibrationConfig,
    split: str,
    activation: str = "sigmoid",
) -> Calibration:
    """Temperature scaling (Guo et al. 2017, https://arxiv.org/abs/1706.04599) that minimises the NLL.

    Args:
        logits: shape (N, L).
        truth: shape (N, L).
        known: annotated entries, shape (N, L).
        config: method, and shrinkage of what is fitted by label.
        split: name of the split these rows are from.
        activation: "softmax" for tasks with one label a text.

    Raises:
        ConfigError: for temperatures or biases by label under a softmax, where they would change the order of labels.
    """
    num_labels = logits.shape[1]
    identity = Calibration.identity(num_labels, activation)
    if config.method == "none":
        return identity
    if activation == "softmax" and config.method in PER_LABEL:
        raise ConfigError(
            f"calibration.method is '{config.method}', which does not go with loss.name cross_entropy; "
            "allowed here: temperature, none."
        )
    z = np.asarray(logits, dtype=np.float64)
    if activation == "softmax":
        shared = fit_log_softmax_temperature(z, truth & known)
    else:
        shared = fit_log_temperature(z[known], truth[known])
    biases = np.zeros(num_labels)
    if config.method == "bias_corrected_temperature":
        shared, biases = fit_bias_corrected(
            z, truth, known, start=shared, bounds=LOG_RANGE, shrinkage=config.bias_shrinkage
        )
    log_temperatures = np.full(num_labels, shared)
    if config.method == "temperature_per_label":
        log_temperatures = _per_label(z, truth, known, shared, config.temperature_shrinkage)
    fitted = Calibration(config.method, np.exp(log_temperatures), activation, fitted_on=split, biases=biases)
    return replace(
        fitted,
        before=probability_metrics(truth, identity.apply(z), known),
        after=probability_metrics(truth, fitted.apply(z), known),
    )


def fit_log_temperature(logits: Floats, truth: Bools) -> float:
    """Logarithm of the T with the least NLL of sigmoid(z / T), for entries of shape (M,); 0 without both outcomes.

    The NLL is convex in 1 / T, so it has one minimum in log T; in log space T stays positive and a factor of two up
    or down is the same distance.
    """
    if truth.all() or not truth.any():
        return 0.0
    y = truth.astype(np.float64)
    result = minimize_scalar(lambda log_t: _nll(logits * np.exp(-log_t), y), bounds=LOG_RANGE, method="bounded")
    return float(result.x)


def fit_log_softmax_temperature(logits: Floats, truth: Bools) -> float:
    """Logarithm of the T with the least NLL of softmax(z / T) over rows with a label; 0 when there are none.

    Args:
        logits: shape (N, L).
        truth: shape (N, L); the label of a row is its first.
    """
    labelled = truth.any(axis=1)
    if not labelled.any():
        return 0.0
    z, label = logits[labelled], truth[labelled].argmax(axis=1)
    own = z[np.arange(len(z)), label]

    def nll(log_t: float) -> float:
        scale = np.exp(-log_t)
        return float(np.mean(logsumexp(z * scale, axis=1) - own * scale))

    return float(minimize_scalar(nll, bounds=LOG_RANGE, method="bounded").x)


def _nll(z: Floats, y: Floats) -> float:
    """Mean of log(1 + e^z) - y z."""
    return float(np.mean(np.logaddexp(0.0, z) - y * z))


def _per_label(logits: Floats, truth: Bools, known: Bools, shared: float, shrinkage: float) -> Floats:
    """Logarithm of every T, shape (L,): n / (n + shrinkage) of a label's own fit, for n positives, the rest shared."""
    support = (truth & known).sum(axis=0)
    own = [
        fit_log_temperature(z[mask], y[mask]) if count else shared
        for z, y, mask, count in zip(logits.T, truth.T, known.T, support, strict=True)
    ]
    weight = support / np.maximum(support + shrinkage, 1e-9)
    return np.asarray(weight * np.array(own) + (1 - weight) * shared)
