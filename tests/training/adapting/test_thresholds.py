from __future__ import annotations

import numpy as np
import pytest

from shared.thresholds import Policies
from tests.training.adapting.worlds import world
from training.adapting.thresholds import SoftRows, expected_counts, refit_policies
from training.calibration.policies import GRID, count_on_grid


def test_counts_without_labels_are_those_the_probabilities_expect() -> None:
    p = np.array([[0.1], [0.4], [0.8]])
    counts = expected_counts(SoftRows.unlabelled(p))
    half = int(np.argmin(np.abs(GRID - 0.3)))
    assert counts.support[0] == pytest.approx(1.3)
    assert counts.decided[0, half] == 2
    assert counts.true_positives[0, half] == pytest.approx(1.2)
    assert counts.f1[0, half] == pytest.approx(2 * 1.2 / (2 + 1.3))
    twice = expected_counts(SoftRows.unlabelled(p) + SoftRows.unlabelled(p))
    np.testing.assert_allclose(twice.true_positives, 2 * counts.true_positives)
    weighted = expected_counts(SoftRows.unlabelled(p, np.full((3, 1), 2.0)))
    np.testing.assert_allclose(weighted.decided, 2 * counts.decided)


def test_counts_with_labels_lie_between_the_expected_and_the_observed() -> None:
    logits, truth = world().draw(800, 1)
    p = 1 / (1 + np.exp(-logits))
    known = np.ones(truth.shape, dtype=bool)
    found = expected_counts(SoftRows(p, truth, known, np.ones(p.shape)))
    soft, hard = expected_counts(SoftRows.unlabelled(p)), count_on_grid(truth, p, known)
    seen = truth.sum(axis=0) / (truth.sum(axis=0) + 50)
    np.testing.assert_allclose(found.support, seen * hard.support + (1 - seen) * soft.support)
    mixed = seen[:, None] * hard.true_positives + (1 - seen[:, None]) * soft.true_positives
    np.testing.assert_allclose(found.true_positives, mixed)
    np.testing.assert_array_equal(found.decided, hard.decided)


def test_policies_are_fitted_by_their_names_for_the_labels_that_changed() -> None:
    logits, _ = world(3).draw(2000, 1)
    p = 1 / (1 + np.exp(-logits))
    names = ("f1", "global", "half", "fixed_0.2", "precision@0.8", "recall@0.9", "mine")
    parent = Policies(("a", "b", "c"), {name: np.full(3, 0.5) for name in names}, "dev")
    found = refit_policies(parent, SoftRows.unlabelled(p), np.array([True, True, False]), "there")
    assert (found.fitted_on, found.default, tuple(found.values)) == ("there", "f1", names)
    for name in names:
        assert found.values[name][2] == 0.5
        assert (found.values[name][:2] != 0.5).all() == (name in ("f1", "global", "precision@0.8", "recall@0.9"))
    for label in range(2):
        decided = p[:, label] >= found.values["precision@0.8"][label]
        assert p[decided, label].mean() == pytest.approx(0.8, abs=0.03)
        found_share = p[p[:, label] >= found.values["recall@0.9"][label], label].sum() / p[:, label].sum()
        assert found_share == pytest.approx(0.9, abs=0.03)
