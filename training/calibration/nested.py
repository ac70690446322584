"""What temperatures and thresholds are worth on rows that they were not fitted on: cross-validation within one split.

Thresholds that are fitted on dev fit its chances too, so the F1 they have there is better than what new text gets
(Cawley and Talbot 2010, https://www.jmlr.org/papers/v11/cawley10a.html). Here temperature and thresholds are fitted on
all folds but one and decide on that one. Weights and epoch were chosen on the whole of dev; what that gains stays in.

Shapes: N examples, L labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.metrics import macro_f1, micro_f1, probability_metrics
from training.calibration.policies import fit_policies
from training.calibration.temperature import fit_calibration
from training.config import CalibrationConfig

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FOLDS = 5
REPEATS = 4
"""How often the rows are cut into folds anew: with few positives the cut itself matters."""


def nested_estimate(
    logits: NDArray[np.floating], truth: Bools, known: Bools, *, config: CalibrationConfig, seed: int = 0
) -> dict[str, Any]:
    """F1 of the policy f1 and what probabilities are worth, by repeated cross-validation; means, ready for JSON.

    Args:
        logits: shape (N, L).
        truth: shape (N, L).
        known: annotated entries, shape (N, L).
        config: how temperature and thresholds are fitted.
        seed: of the cuts into folds.
    """
    random = np.random.default_rng(seed)
    scores = []
    for _ in range(REPEATS):
        folds = random.permutation(len(truth)) % FOLDS
        probabilities, decisions = cross_fitted(logits, truth, known, folds, config)
        scores.append({
            "macro_f1": macro_f1(truth, decisions, known),
            "micro_f1": micro_f1(truth, decisions, known),
            **probability_metrics(truth, probabilities, known),
        })  # fmt: skip
    means = {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
    return {"folds": FOLDS, "repeats": REPEATS, **means}


def cross_fitted(
    logits: NDArray[np.floating], truth: Bools, known: Bools, folds: NDArray[np.integer[Any]], config: CalibrationConfig
) -> tuple[Floats, Bools]:
    """Probabilities, and decisions of the policy f1, both (N, L), by temperature and thresholds of the other folds.

    Args:
        logits: shape (N, L).
        truth: shape (N, L).
        known: annotated entries, shape (N, L).
        folds: the fold of every row, shape (N,).
        config: how they are fitted.
    """
    probabilities, decisions = np.zeros(truth.shape), np.zeros(truth.shape, dtype=np.bool_)
    labels = tuple(str(column) for column in range(truth.shape[1]))
    for fold in np.unique(folds):
        own, others = folds == fold, folds != fold
        calibration = fit_calibration(logits[others], truth[others], known[others], config=config, split="folds")
        policies = fit_policies(
            truth[others], calibration.apply(logits[others]), known[others],
            labels=labels, config=config, split="folds",
        )  # fmt: skip
        probabilities[own] = calibration.apply(logits[own])
        decisions[own] = policies.decide(probabilities[own], "f1")
    return probabilities, decisions
