"""Scores on rows that nothing was fitted on: laws of cross-fitting, and what it says of pure chance."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from training.calibration.nested import cross_fitted, nested_estimate
from training.calibration.policies import fit_policies
from training.calibration.temperature import fit_calibration
from training.config import CalibrationConfig

CONFIG = CalibrationConfig()


def rows(signal, number=400, labels=3, seed=0):
    random = np.random.default_rng(seed)
    truth = random.random((number, labels)) < 0.2
    logits = signal * (2 * truth - 1) + random.normal(size=truth.shape) - 1
    return logits, truth, np.ones(truth.shape, dtype=bool)


def test_decisions_on_a_fold_are_those_of_a_fit_on_the_others():
    logits, truth, known = rows(1.0)
    folds = np.arange(len(truth)) % 2
    probabilities, found = cross_fitted(logits, truth, known, folds, CONFIG)
    first, second = folds == 0, folds == 1
    calibration = fit_calibration(logits[first], truth[first], known[first], config=CONFIG, split="dev")
    policies = fit_policies(
        truth[first], calibration.apply(logits[first]), known[first], labels=("a", "b", "c"), config=CONFIG, split="dev"
    )
    assert np.array_equal(probabilities[second], calibration.apply(logits[second]))
    assert np.array_equal(found[second], policies.decide(calibration.apply(logits[second]), "f1"))


def test_what_a_row_is_has_no_part_in_what_is_decided_on_it():
    logits, truth, known = rows(1.0)
    folds = np.arange(len(truth)) % 5
    _, before = cross_fitted(logits, truth, known, folds, CONFIG)
    truth = truth.copy()
    truth[folds == 3] = ~truth[folds == 3]
    _, after = cross_fitted(logits, truth, known, folds, CONFIG)
    assert np.array_equal(before[folds == 3], after[folds == 3])
    assert not np.array_equal(before, after)


def test_a_perfect_model_loses_nothing_and_chance_is_not_rewarded():
    logits, truth, known = rows(50.0)
    assert nested_estimate(logits, truth, known, config=CONFIG)["macro_f1"] == 1.0
    logits, truth, known = rows(0.0, number=120, labels=40)  # 24 positives a label, and logits that know nothing
    config = CalibrationConfig(threshold_shrinkage=0.0)
    policies = fit_policies(
        truth, fit_calibration(logits, truth, known, config=config, split="dev").apply(logits), known,
        labels=tuple(map(str, range(40))), config=config, split="dev",
    )  # fmt: skip
    probabilities = fit_calibration(logits, truth, known, config=config, split="dev").apply(logits)
    on_dev = f1_score(truth, policies.decide(probabilities, "f1"), average="macro", zero_division=0)
    # deciding yes at random or always has F1 2 x 0.2 / (1 + 0.2) = 0.333 at most
    assert on_dev > 0.35
    assert nested_estimate(logits, truth, known, config=config)["macro_f1"] < 0.34


def test_the_same_rows_have_the_same_estimate_and_unknown_entries_no_part():
    logits, truth, known = rows(1.0)
    first = nested_estimate(logits, truth, known, config=CONFIG)
    assert first == nested_estimate(logits, truth, known, config=CONFIG)
    assert (first["folds"], first["repeats"]) == (5, 4)
    known = known.copy()
    known[::3, 1] = False
    masked = nested_estimate(logits, truth, known, config=CONFIG)
    flipped = truth.copy()
    flipped[::3, 1] = ~flipped[::3, 1]
    assert masked == nested_estimate(logits, flipped, known, config=CONFIG)
    assert masked["micro_f1"] != pytest.approx(first["micro_f1"], abs=1e-9)


def test_biases_that_fit_chance_are_seen_to_cost():
    """60 rows, 30 labels, all right as they are: free biases lower the NLL of the rows they are fitted on alone."""
    random = np.random.default_rng(0)
    logits = random.normal(-1.5, 1.0, (60, 30))
    truth = random.random(logits.shape) < 1 / (1 + np.exp(-logits))
    known = np.ones(truth.shape, dtype=bool)
    plain = CalibrationConfig()
    free = CalibrationConfig(method="bias_corrected_temperature", bias_shrinkage=0.1)
    fitted = [fit_calibration(logits, truth, known, config=each, split="dev").after["nll"] for each in (plain, free)]
    assert fitted[1] < fitted[0]
    nested = [nested_estimate(logits, truth, known, config=each)["nll"] for each in (plain, free)]
    assert nested[1] > nested[0]
