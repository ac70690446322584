"""The metrics of dev while a model trains."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score
from transformers import EvalPrediction

from training.loop.train import dev_scores


def test_the_measure_is_macro_f1_at_thresholds_fitted_on_the_same_rows():
    logits = np.array([[2.0, -3.0], [1.0, -2.0], [0.5, -4.0], [0.0, -5.0]])
    targets = np.array([[1, 0], [1, 1], [0, 0], [0, 0]], dtype=np.float32)
    known = np.ones_like(targets, dtype=bool)
    scores = dev_scores(EvalPrediction(logits, (targets, known)), 0.0)
    brier = np.mean((1 / (1 + np.exp(-logits)) - targets) ** 2)
    assert scores == {"macro_f1": 1.0, "micro_f1": 1.0, "brier": pytest.approx(brier)}


def test_a_softmax_is_measured_by_its_most_probable_label():
    random = np.random.default_rng(0)
    logits, truth = random.normal(size=(60, 3)), random.choice(3, size=60, p=[0.6, 0.3, 0.1])
    targets = np.eye(3, dtype=np.float32)[truth]
    scores = dev_scores(EvalPrediction(logits, (targets, np.ones((60, 3), dtype=bool))), 0.0, "softmax")
    found = logits.argmax(axis=1)
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth, found))
    assert scores["macro_f1"] == pytest.approx(f1_score(truth, found, average="macro"))
    assert scores["weighted_f1"] == pytest.approx(f1_score(truth, found, average="weighted"))
