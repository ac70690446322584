"""Biases: they undo shifts of each label, make its mean probability its frequency, and are held where rows are few."""

import numpy as np
import pytest

from shared.calibration import Calibration, sigmoid
from training.calibration.temperature import fit_calibration
from training.config import CalibrationConfig

SHIFTS = np.array([1.0, -0.5, 0.0])


def drawn(rows=4000, seed=0):
    """Labels drawn from sigmoid(z), and logits from which z / 2 + SHIFTS gives z back."""
    random = np.random.default_rng(seed)
    z = random.normal(-1.0, 2.0, (rows, 3))
    truth = random.random(z.shape) < sigmoid(z)
    return (z - SHIFTS) * 2.0, truth, np.ones_like(truth)


def fit(logits, truth, known, *, method="bias_corrected_temperature", **options):
    return fit_calibration(logits, truth, known, config=CalibrationConfig(method=method, **options), split="dev")


def test_planted_shifts_and_the_scale_are_found():
    fitted = fit(*drawn(20_000))
    np.testing.assert_allclose(fitted.temperatures, 2.0, rtol=0.03)
    np.testing.assert_allclose(fitted.biases, SHIFTS, atol=0.06)


def test_without_a_prior_the_mean_probability_of_a_label_is_its_frequency_among_known_entries():
    logits, truth, known = drawn(600)
    known[:250, 1] = False
    logits[:250, 1] = 1e3  # counts nowhere
    fitted = fit(logits, truth, known, bias_shrinkage=0.0)
    for label in range(3):
        rows = known[:, label]
        assert fitted.apply(logits)[rows, label].mean() == pytest.approx(truth[rows, label].mean(), abs=1e-4)


def test_the_nll_is_below_that_of_a_temperature_alone_and_the_ranking_of_a_label_stays():
    data = drawn()
    fitted, plain = fit(*data), fit(*data, method="temperature")
    assert fitted.after["nll"] < plain.after["nll"] - 0.01
    assert (np.argsort(fitted.apply(data[0]), axis=0) == np.argsort(data[0], axis=0)).all()


def test_a_strong_prior_leaves_the_temperature_alone():
    data = drawn()
    fitted = fit(*data, bias_shrinkage=1e9)
    np.testing.assert_allclose(fitted.biases, 0.0, atol=1e-5)
    np.testing.assert_allclose(fitted.temperatures, fit(*data, method="temperature").temperatures, rtol=1e-3)


def test_a_label_that_has_hardly_a_row_hardly_moves():
    logits, truth, known = drawn(300)
    known[6:, 0] = False
    free, held = fit(logits, truth, known, bias_shrinkage=0.0), fit(logits, truth, known)
    assert abs(held.biases[0]) < abs(free.biases[0]) / 2


def test_without_both_outcomes_nothing_is_fitted():
    logits, truth, known = drawn(20)
    fitted = fit(logits, np.zeros_like(truth), known)
    assert not fitted.biases.any()
    assert (fitted.temperatures == 1).all()


def test_it_is_written_to_a_bundle_and_read_again(tmp_path):
    fitted = fit(*drawn(200))
    fitted.write(tmp_path / "calibration.json")
    np.testing.assert_array_equal(Calibration.read(tmp_path / "calibration.json").biases, fitted.biases)
