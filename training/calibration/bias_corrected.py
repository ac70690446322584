"""A temperature and a bias for every label: probabilities that are right on average for each of them.

Trained networks give most labels too much probability on average, and the most frequent one too little, whatever the
temperature (docs/results.md). Shapes: N examples, L labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from shared.calibration import sigmoid

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def fit_bias_corrected(
    logits: Floats, truth: Bools, known: Bools, *, start: float, bounds: tuple[float, float], shrinkage: float
) -> tuple[float, Floats]:
    """Log T, and the biases b, shape (L,), with the least NLL of sigmoid(z / T + b) (Alexandari et al. 2020).

    A bias is held towards 0 by a normal prior with the weight of `shrinkage` rows, so that a label that dev has hardly
    any rows of gets hardly any. Without both outcomes there is nothing to fit.

    Args:
        logits: z, shape (N, L).
        truth: shape (N, L).
        known: annotated entries, shape (N, L).
        start: log T to begin with.
        bounds: of log T.
        shrinkage: precision of the prior; of b in logits.
    """
    y, counted = truth.astype(np.float64), known.astype(np.float64)
    if truth[known].all() or not truth[known].any():
        return start, np.zeros(logits.shape[1])

    def objective(values: Floats) -> tuple[float, Floats]:
        scaled, biases = logits * np.exp(-values[0]), values[1:]
        scores = scaled + biases
        error = (sigmoid(scores) - y) * counted
        nll = float(((np.logaddexp(0.0, scores) - y * scores) * counted).sum())
        gradient = np.concatenate([[-(error * scaled).sum()], error.sum(axis=0) + shrinkage * biases])
        return (nll + shrinkage / 2 * float((biases**2).sum())) / len(y), gradient / len(y)

    found = minimize(
        objective, np.concatenate([[start], np.zeros(logits.shape[1])]), jac=True, method="L-BFGS-B",
        bounds=[bounds] + [(None, None)] * logits.shape[1], options={"maxiter": 500},
    )  # fmt: skip
    return float(found.x[0]), np.asarray(found.x[1:])
