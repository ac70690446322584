"""Temperatures: they undo a known scale, never raise the NLL and leave the ranking alone."""

import numpy as np
import pytest

from shared.calibration import sigmoid
from shared.errors import ConfigError
from training.calibration.temperature import fit_calibration, fit_log_softmax_temperature, fit_log_temperature
from training.config import CalibrationConfig


def drawn(scale, rows=4000, labels=3, seed=0):
    """Labels drawn from sigmoid(z), and the logits z times `scale`."""
    random = np.random.default_rng(seed)
    z = random.normal(-1.0, 2.0, (rows, labels))
    truth = random.random(z.shape) < sigmoid(z)
    return z * np.asarray(scale), truth, np.ones_like(truth)


def fit(logits, truth, known, **options):
    return fit_calibration(logits, truth, known, config=CalibrationConfig(**options), split="dev")


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_the_temperature_is_the_scale_of_the_logits(scale):
    fitted = fit(*drawn(scale))
    assert np.allclose(fitted.temperatures, scale, rtol=0.06)
    assert fitted.fitted_on == "dev"


def test_the_nll_does_not_get_worse_and_is_recorded():
    fitted = fit(*drawn(3.0))
    assert fitted.after["nll"] <= fitted.before["nll"]
    assert fitted.after["ece_pooled"] < fitted.before["ece_pooled"]


def test_the_ranking_of_each_label_is_unchanged():
    logits, truth, known = drawn([0.5, 1.0, 4.0])
    p = fit(logits, truth, known, method="temperature_per_label").apply(logits)
    assert (np.argsort(p, axis=0, kind="stable") == np.argsort(sigmoid(logits), axis=0, kind="stable")).all()


def test_per_label_temperatures_find_each_label_and_shrink_towards_the_shared_one():
    data = drawn([0.5, 1.0, 4.0])
    free = fit(*data, method="temperature_per_label", temperature_shrinkage=0.0).temperatures
    shrunk = fit(*data, method="temperature_per_label", temperature_shrinkage=1e9).temperatures
    shared = fit(*data).temperatures
    assert np.allclose(free, [0.5, 1.0, 4.0], rtol=0.12)
    assert np.allclose(shrunk, shared, rtol=1e-3)


def test_unknown_entries_have_no_part_in_the_fit():
    logits, truth, known = drawn(2.0)
    spoiled, known = logits.copy(), known.copy()
    spoiled[:, 2], known[:, 2] = 1e3 * (1 - 2 * truth[:, 2]), False
    assert fit(spoiled, truth, known).temperatures[0] == pytest.approx(
        fit(logits[:, :2], truth[:, :2], known[:, :2]).temperatures[0], rel=1e-6
    )


def test_without_both_outcomes_nothing_is_fitted():
    z = np.linspace(-2, 2, 9)
    assert fit_log_temperature(z, np.zeros(9, dtype=bool)) == 0.0
    assert fit_log_temperature(z, np.ones(9, dtype=bool)) == 0.0


def test_a_label_without_a_positive_gets_the_shared_temperature():
    logits, truth, known = drawn(2.0)
    truth[:, 1] = False
    fitted = fit(logits, truth, known, method="temperature_per_label", temperature_shrinkage=0.0)
    assert fitted.temperatures[1] == pytest.approx(fit(logits, truth, known).temperatures[1])


def test_none_is_the_identity():
    logits, truth, known = drawn(3.0)
    fitted = fit(logits, truth, known, method="none")
    assert (fitted.temperatures == 1).all()
    assert fitted.fitted_on is None


def one_label_each(scale, rows=4000, labels=4, seed=0):
    """One label a row, drawn from softmax(z), and the logits z times `scale`."""
    random = np.random.default_rng(seed)
    z = random.normal(0.0, 2.0, (rows, labels))
    chosen = (z + random.gumbel(size=z.shape)).argmax(axis=1)
    truth = np.arange(labels) == chosen[:, None]
    return z * scale, truth, np.ones_like(truth)


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_under_a_softmax_the_temperature_is_the_scale_too(scale):
    rows = one_label_each(scale)
    fitted = fit_calibration(*rows, config=CalibrationConfig(), split="dev", activation="softmax")
    assert np.allclose(fitted.temperatures, scale, rtol=0.06)
    assert np.allclose(fitted.apply(rows[0]).sum(axis=1), 1.0)
    assert fitted.after["nll"] <= fitted.before["nll"] + 1e-9


def test_rows_without_label_have_no_part_in_a_softmax_temperature():
    z, truth, known = one_label_each(2.0)
    known[::2] = False
    fitted = fit_calibration(z, truth, known, config=CalibrationConfig(), split="dev", activation="softmax")
    alone = fit_calibration(
        z[1::2], truth[1::2], known[1::2], config=CalibrationConfig(), split="dev", activation="softmax"
    )
    assert fitted.temperatures[0] == pytest.approx(alone.temperatures[0])
    assert fit_log_softmax_temperature(z, np.zeros_like(truth)) == 0.0


@pytest.mark.parametrize("method", ["temperature_per_label", "bias_corrected_temperature"])
def test_temperatures_and_biases_by_label_under_a_softmax_are_refused(method):
    config = CalibrationConfig(method=method)
    with pytest.raises(ConfigError, match="does not go with loss.name cross_entropy; allowed here: temperature, none"):
        fit_calibration(*one_label_each(1.0), config=config, split="dev", activation="softmax")
