"""Policies: hand-worked optima, and laws of shrinkage, precision and recall."""

import numpy as np
import pytest

from shared.metrics import f1_per_label
from shared.thresholds import decide
from training.calibration.policies import (
    GRID,
    NEVER,
    Counts,
    count_on_grid,
    f1_thresholds,
    fit_policies,
    global_threshold,
    precision_thresholds,
    recall_thresholds,
)
from training.config import CalibrationConfig

TRUTH = np.array([[1, 1], [1, 0], [0, 0], [1, 0], [0, 0]], dtype=bool)
P = np.array([[0.9, 0.30], [0.7, 0.20], [0.6, 0.10], [0.4, 0.05], [0.1, 0.02]])
KNOWN = np.ones_like(TRUTH)


def random_task(seed=0, rows=600, labels=5):
    random = np.random.default_rng(seed)
    p = random.beta(0.6, 2.0, (rows, labels)).clip(0.001, 0.999)
    return random.random(p.shape) < p, p, np.ones(p.shape, dtype=bool)


def test_counts_are_those_of_deciding_at_each_threshold():
    truth, p, known = random_task()
    counts = count_on_grid(truth, p, known)
    for point in (0, 40, 200, len(GRID) - 1):
        decided = decide(p, np.full(5, GRID[point]))
        assert (counts.decided[:, point] == decided.sum(axis=0)).all()
        assert np.allclose(counts.f1[:, point], f1_per_label(truth, decided))


def test_the_threshold_lies_in_the_middle_of_the_best_range():
    # label 0 is best at (0.1, 0.4]: 3 hits, 1 false; label 1 at (0.2, 0.3]: 1 hit, 0 false
    thresholds = f1_thresholds(count_on_grid(TRUTH, P, KNOWN), shrinkage=0.0)
    assert thresholds == pytest.approx([0.25, 0.25], abs=0.005)


def test_no_threshold_of_the_grid_has_a_better_f1():
    truth, p, known = random_task()
    counts = count_on_grid(truth, p, known)
    chosen = f1_per_label(truth, decide(p, f1_thresholds(counts, 0.0)))
    assert np.allclose(chosen, counts.f1.max(axis=1))


def test_rare_labels_are_shrunk_most_towards_the_global_threshold():
    # with as many decided as there are, F1 = TP / support: curves that peak at 0.3, 0.3 and 0.6, and together at 0.6
    curves = np.stack([0.5 - 0.5 * abs(GRID - 0.3), 0.5 - 0.5 * abs(GRID - 0.3), 1 - 2 * abs(GRID - 0.6)])
    support = np.array([10.0, 1000.0, 1000.0])
    counts = Counts(curves * support[:, None], np.broadcast_to(support[:, None], curves.shape), support)
    assert global_threshold(counts) == 0.6
    odds = [np.log(t / (1 - t)) for t in f1_thresholds(counts, 20.0)]
    own, shared = np.log(0.3 / 0.7), np.log(0.6 / 0.4)
    assert odds == pytest.approx([own / 3 + 2 * shared / 3, (1000 * own + 20 * shared) / 1020, shared])


def test_a_label_without_a_positive_takes_the_global_threshold():
    truth, p, known = random_task()
    truth[:, 3] = False
    counts = count_on_grid(truth, p, known)
    assert f1_thresholds(counts, 2.0)[3] == pytest.approx(global_threshold(counts))


def test_precision_is_reached_at_the_lowest_threshold_that_has_it():
    truth, p, known = random_task()
    thresholds = precision_thresholds(count_on_grid(truth, p, known), 0.7)
    for label, threshold in enumerate(thresholds):
        decided = p[:, label] >= threshold
        assert truth[decided, label].mean() >= 0.7
        below = GRID[(threshold - 0.0025 - 1e-9 < GRID) & (threshold > GRID)]
        assert all(truth[p[:, label] >= t, label].mean() < 0.7 for t in below)


def test_a_label_that_never_reaches_the_precision_is_never_decided():
    counts = count_on_grid(np.zeros((5, 2), dtype=bool), P, KNOWN)
    assert (precision_thresholds(counts, 0.8) == NEVER).all()


def test_recall_is_reached_at_the_highest_threshold_that_has_it():
    truth, p, known = random_task()
    thresholds = recall_thresholds(count_on_grid(truth, p, known), 0.8)
    recall = (truth & (p >= thresholds)).sum(axis=0) / truth.sum(axis=0)
    higher = (truth & (p >= thresholds + 0.0025)).sum(axis=0) / truth.sum(axis=0)
    assert (recall >= 0.8).all()
    assert (higher < 0.8).all()


def test_unknown_entries_have_no_part_in_the_fit():
    truth, p, known = random_task()
    hidden = known.copy()
    hidden[:300] = False
    partial = f1_thresholds(count_on_grid(truth, p, hidden), 2.0)
    assert np.allclose(partial, f1_thresholds(count_on_grid(truth[300:], p[300:], known[300:]), 2.0))


def test_all_policies_are_stored_by_name():
    truth, p, known = random_task(labels=2)
    policies = fit_policies(
        truth, p, known, labels=("a", "b"), config=CalibrationConfig(precision_target=0.75), split="dev"
    )
    assert list(policies.values) == ["f1", "global", "half", "fixed_0.2", "precision@0.75", "recall@0.8"]
    assert (policies.get("half") == 0.5).all()
    assert (policies.get("fixed_0.2") == 0.2).all()
    assert len(set(policies.get("global"))) == 1
    assert (policies.default, policies.fitted_on) == ("f1", "dev")


def test_single_label_tasks_have_argmax_as_their_default():
    truth, p, known = random_task(labels=2)
    policies = fit_policies(
        truth, p, known, labels=("a", "b"), config=CalibrationConfig(), split="dev", single_label=True
    )
    assert (policies.default, list(policies.values)[-1]) == ("argmax", "argmax")
    assert (policies.decide(p).argmax(axis=1) == p.argmax(axis=1)).all()
    assert (policies.decide(p).sum(axis=1) == 1).all()
