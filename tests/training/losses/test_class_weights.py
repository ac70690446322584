"""Weights of rare labels against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from shared.errors import ConfigError
from training.losses.class_weights import LabelCounts, label_weights


def test_counts_leave_unknown_entries_out():
    targets = np.array([[1, 1], [0, 1], [1, 0]], dtype=np.float32)
    known = np.array([[1, 0], [1, 1], [1, 0]], dtype=bool)
    counts = LabelCounts.of(targets, known)
    assert counts.positives.tolist() == [2, 1]
    assert counts.known.tolist() == [3, 1]


def test_balanced_is_that_of_scikit_learn():
    targets = np.random.default_rng(0).random((200, 5)) < [0.02, 0.1, 0.3, 0.5, 0.9]
    weights = label_weights(LabelCounts.of(targets.astype(np.float32), np.ones_like(targets)), "balanced", cap=1e6)
    for label, column in enumerate(targets.T):
        expected = compute_class_weight("balanced", classes=np.array([False, True]), y=column)
        assert [weights.negative[label].item(), weights.positive[label].item()] == pytest.approx(expected, rel=1e-6)


def test_inverse_frequency_is_capped():
    counts = LabelCounts(positives=np.array([500.0, 200.0, 2.0, 0.0]), known=np.full(4, 1000.0))
    weights = label_weights(counts, "inverse_frequency", cap=10.0)
    assert weights.positive.tolist() == [2, 5, 10, 10]
    assert weights.negative.tolist() == [1, 1, 1, 1]


def test_another_weighting_is_refused():
    counts = LabelCounts(positives=np.ones(2), known=np.full(2, 4.0))
    with pytest.raises(ConfigError, match=r"loss\.weighting is 'square'; allowed are inverse_frequency and balanced"):
        label_weights(counts, "square", cap=10.0)
