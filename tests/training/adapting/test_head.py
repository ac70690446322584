"""Laws of the last layer refitted, where the logits are a product of vectors of which everything is known."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from shared.calibration import Calibration
from shared.thresholds import Policies
from training.adapting.adapt import Adapted, Evidence, Parent, adapt, present_macro_f1
from training.adapting.head import SHIFT, Space, _fit, _shares, adapt_head
from training.calibration.policies import fit_policies
from training.config import CalibrationConfig

DRAWS = int(os.environ.get("SYSTEM_DRAWS", "25"))
"""Of a simulation; `make system` makes every draw."""

WIDTH, LABELS = 24, tuple("abcdef")
RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.normal(size=(WIDTH, 6)) * 2 / np.sqrt(WIDTH)
CHANGE = RANDOM.normal(size=(WIDTH, 6)) * 2 / np.sqrt(WIDTH)


def draw(count: int, seed: int, change: float) -> Evidence:
    """Rows whose labels follow the parent's layer and `change` times another one."""
    random = np.random.default_rng(seed)
    pooled = random.normal(size=(count, WIDTH)).astype(np.float32)
    logits = pooled @ WEIGHT - 1.5
    truth = random.random(logits.shape) < expit(logits + change * (pooled @ CHANGE))
    return Evidence(logits, truth, np.ones(truth.shape, bool), np.zeros((0, 6)), np.full(6, np.nan), pooled)


@pytest.fixture(scope="module")
def parent() -> Parent:
    home = draw(3000, 1000, 0.0)
    calibration = Calibration("temperature", np.full(6, 1.0), fitted_on="dev")
    policies = fit_policies(
        home.truth, calibration.apply(home.logits), home.known, labels=LABELS, config=CalibrationConfig(), split="dev"
    )
    return Parent(calibration, Policies(LABELS, policies.values, "dev"), home.logits, home.truth, home.known)


def macro_f1(found, change: float) -> float:
    rows = draw(4000, 77, change)
    logits = found.logits(rows) if isinstance(found, Adapted) else rows.logits
    return present_macro_f1(rows.truth, found.decisions(logits), rows.known)


def test_rows_of_another_layer_bring_much_more_than_thresholds_do(parent):
    rows = draw(200, 1, 1.0)
    head, thresholds = adapt_head(parent, rows), adapt(parent, rows)
    assert not head.kept
    assert head.layer.weight.shape == (WIDTH, 6)
    assert macro_f1(head, 1.0) > macro_f1(thresholds, 1.0) + 0.05


def test_rows_like_those_of_training_keep_the_layer(parent):
    kept = 0
    for seed in range(4):
        found = adapt_head(parent, draw(100, seed, 0.0))
        kept += found.layer is None
        assert abs(macro_f1(found, 0.0) - macro_f1(adapt(parent, draw(100, seed, 0.0)), 0.0)) < 0.02
    assert kept >= 3


def test_candidates_count_by_what_rows_left_out_say_of_them():
    alike, better = np.full((2, 40), 0.7), np.array([np.full(40, 0.7), np.full(40, 0.2)])
    np.testing.assert_allclose(_shares(alike, 0), [0.5, 0.5])
    np.testing.assert_allclose(_shares(better, 0), [0, 1], atol=1e-6)  # 40 rows of half a nat each
    noisy = np.array([np.full(40, 0.7), np.random.default_rng(0).normal(0.68, 1.0, 40)])
    assert 0.2 < _shares(noisy, 0)[0] < 0.8


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("change", [0.0, 0.5, 1.0])
def test_thirty_rows_never_cost_more_than_a_hundredth_on_average(parent, change):
    before = macro_f1(parent, change)
    after = [macro_f1(adapt_head(parent, draw(30, seed, change)), change) for seed in range(DRAWS)]
    assert np.mean(after) - before > -0.01


def test_the_layer_is_the_ridge_regression_around_the_parents_of_scikit_learn():
    rows, strength = draw(150, 3, 1.0), 1.0
    features = np.linalg.qr(RANDOM.normal(size=(150, 10)))[0] * 5
    weights, shifts = _fit(np.zeros((150, 6)), features, rows.truth, rows.known, strength)
    for label in range(6):
        model = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10, max_iter=10_000)
        scale = np.append(np.full(10, strength), SHIFT)
        model.fit(np.column_stack([features, np.ones(150)]) * scale, rows.truth[:, label])
        expected = model.coef_[0] * scale
        np.testing.assert_allclose(np.append(weights[:, label], shifts[label]), expected, atol=2e-3)


def test_unknown_cells_change_nothing_and_a_label_without_rows_keeps_its_layer(parent):
    rows = draw(200, 4, 1.0)
    rows.known[:, 2] = False
    rows.known[:50, 0] = False
    other = rows.truth ^ ~rows.known
    one, two = (adapt_head(parent, replace(rows, truth=truth)) for truth in (rows.truth & rows.known, other))
    np.testing.assert_array_equal(one.layer.weight, two.layer.weight)
    np.testing.assert_allclose(one.layer.weight[:, 2], 0, atol=1e-12)
    assert one.policies.get()[2] == parent.policies.get()[2]
    assert one.calibration.temperatures[2] == parent.calibration.temperatures[2]


def test_a_layer_in_the_axes_of_the_rows_is_the_same_layer_in_those_of_the_network():
    pooled = RANDOM.normal(size=(40, WIDTH)).astype(np.float32) + 3
    space = Space.of(pooled)
    features = space.features(pooled)
    assert (features**2).sum(axis=1).mean() == pytest.approx(1)
    weights, shifts, factors = RANDOM.normal(size=(features.shape[1], 6)), RANDOM.normal(size=6), np.full(6, 1.7)
    moved = space.layer(weights, shifts, factors).logits(np.zeros((40, 6)), pooled)
    np.testing.assert_allclose(moved, 1.7 * (features @ weights + shifts), atol=1e-5)
