"""How good the model is on dev while it trains."""

from __future__ import annotations

import numpy as np
from transformers import EvalPrediction

from shared.calibration import Calibration
from shared.metrics import accuracy, brier, macro_f1, micro_f1, weighted_f1
from shared.thresholds import decide
from training.calibration.policies import count_on_grid, f1_thresholds


def dev_scores(prediction: EvalPrediction, shrinkage: float, activation: str = "sigmoid") -> dict[str, float]:
    """Macro and micro F1 and Brier score before calibration; with a softmax accuracy and weighted F1 too.

    Args:
        prediction: logits, and as label ids targets and known entries, each of shape (N, L).
        shrinkage: of the thresholds, which are fitted on the same rows; a softmax decides for its highest label.
        activation: from logits to probabilities.
    """
    targets, known = (np.asarray(array) for array in prediction.label_ids)
    identity = Calibration.identity(targets.shape[1], activation)
    probabilities, truth = identity.apply(prediction.predictions), targets >= 0.5
    single_label = activation == "softmax"
    if single_label:
        decisions = decide(probabilities, 0.0, argmax=True)
    else:
        decisions = decide(probabilities, f1_thresholds(count_on_grid(truth, probabilities, known), shrinkage))
    shares = {"accuracy": accuracy, "weighted_f1": weighted_f1} if single_label else {}
    return {
        "macro_f1": macro_f1(truth, decisions, known),
        "micro_f1": micro_f1(truth, decisions, known),
        **{name: measure(truth, decisions, known) for name, measure in shares.items()},
        "brier": brier(truth, probabilities, known),
    }
