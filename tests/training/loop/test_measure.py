"""The figures of dev while a model trains."""

import numpy as np
import pytest
from transformers import EvalPrediction

from training.loop.measure import dev_scores


def test_the_measure_is_macro_f1_at_thresholds_fitted_on_the_same_rows():
    logits = np.array([[2.0, -3.0], [1.0, -2.0], [0.5, -4.0], [0.0, -5.0]])
    targets = np.array([[1, 0], [1, 1], [0, 0], [0, 0]], dtype=np.float32)
    known = np.ones_like(targets, dtype=bool)
    scores = dev_scores(EvalPrediction(logits, (targets, known)), 0.0)
    brier = np.mean((1 / (1 + np.exp(-logits)) - targets) ** 2)
    assert scores == {"macro_f1": 1.0, "micro_f1": 1.0, "brier": pytest.approx(brier)}
