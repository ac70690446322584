"""Intervals cover the truth as often as they say, whether rows are many or few, for one model and for two."""

import numpy as np
import pytest
from scipy import stats

from shared.metrics import ece_classwise
from training.evaluation import resampling
from training.evaluation.measures import Predictions
from training.evaluation.resampling import resample

WORLDS = 400
ROWS = 150
RATE, RECALL, FALSE_ALARM = np.array([0.35, 0.25]), np.array([0.7, 0.6]), np.array([0.15, 0.1])
"""A model whose metrics are known: how often each label occurs, is found, and is found where it is not."""


def world(random, rows=ROWS, recall=RECALL):
    truth = random.random((rows, 2)) < RATE
    decisions = random.random((rows, 2)) < np.where(truth, recall, FALSE_ALARM)
    probabilities = np.where(decisions, 0.8, 0.1)
    return Predictions(truth, np.ones_like(truth), probabilities, decisions)


def true_micro_f1(recall=RECALL):
    hit, wrong = RATE * recall, (1 - RATE) * FALSE_ALARM
    return 2 * hit.sum() / (hit + wrong + RATE).sum()


def true_macro_f1(recall=RECALL):
    hit, wrong = RATE * recall, (1 - RATE) * FALSE_ALARM
    return float(np.mean(2 * hit / (hit + wrong + RATE)))


def true_brier(recall=RECALL):
    squared = RATE * (recall * 0.2**2 + (1 - recall) * 0.9**2)
    return float(np.mean(squared + (1 - RATE) * (FALSE_ALARM * 0.8**2 + (1 - FALSE_ALARM) * 0.1**2)))


def estimates(rows):
    y, d, p = rows.truth, rows.decisions, rows.probabilities
    f1 = 2 * (y & d).sum(axis=0) / (y.sum(axis=0) + d.sum(axis=0))
    micro = 2 * (y & d).sum() / (y.sum() + d.sum())
    return {"micro_f1": float(micro), "macro_f1": float(f1.mean()), "brier": float(np.mean((p - y) ** 2))}


def test_the_interval_covers_the_true_value_in_93_to_97_of_100_worlds():
    truth = {"micro_f1": true_micro_f1(), "macro_f1": true_macro_f1(), "brier": true_brier()}
    random, covered = np.random.default_rng(5), dict.fromkeys(truth, 0)
    for seed in range(WORLDS):
        rows = world(random)
        (errors,) = resample([rows], samples=200, seed=seed)
        for name, estimate in estimates(rows).items():
            low, high = errors.interval(name, estimate)
            covered[name] += bool(low <= truth[name] <= high)
    for name, count in covered.items():
        assert 0.93 <= count / WORLDS <= 0.97, (name, count / WORLDS)


def test_the_paired_interval_of_a_gain_covers_it_as_often_and_is_narrower_than_an_unpaired_one():
    better = RECALL + 0.1
    gain = true_micro_f1(better) - true_micro_f1()
    random, covered, narrower = np.random.default_rng(6), 0, 0
    for seed in range(WORLDS):
        first = world(random)
        also_found = first.truth & ~first.decisions & (random.random(first.truth.shape) < 0.1 / (1 - RECALL))
        decisions = first.decisions | also_found
        second = Predictions(first.truth, first.known, np.where(decisions, 0.8, 0.1), decisions)
        one, two = resample([first, second], samples=200, seed=seed)
        estimate = estimates(second)["micro_f1"] - estimates(first)["micro_f1"]
        low, high = two.minus(one).interval("micro_f1", estimate)
        covered += bool(low <= gain <= high)
        unpaired = np.hypot(one.values["micro_f1"].std(), two.values["micro_f1"].std())
        narrower += bool(high - low < 2 * 1.96 * unpaired)
    assert 0.93 <= covered / WORLDS <= 0.97
    assert narrower == WORLDS


def test_the_p_value_of_no_gain_is_uniform_and_that_of_a_large_one_small():
    random, found = np.random.default_rng(7), []
    for seed in range(100):
        first = world(random)
        second = Predictions(first.truth, first.known, first.probabilities, world(random).decisions ^ first.decisions)
        swapped = random.random(ROWS) < 0.5  # which of two equal models is called first is a coin for each row
        decisions = [np.where(swapped[:, None], a, b) for a, b in ((first.decisions, second.decisions),
                                                                    (second.decisions, first.decisions))]  # fmt: skip
        pair = [Predictions(first.truth, first.known, first.probabilities, d) for d in decisions]
        one, two = resample(pair, samples=200, seed=seed)
        estimate = estimates(pair[1])["micro_f1"] - estimates(pair[0])["micro_f1"]
        found.append(float(two.minus(one).p_value("micro_f1", estimate)))
    assert stats.kstest(found, "uniform").pvalue > 0.01
    sure, blind = world(random), world(random)
    perfect = Predictions(sure.truth, sure.known, sure.probabilities, sure.truth)
    one, two = resample([Predictions(sure.truth, sure.known, sure.probabilities, blind.decisions), perfect],
                        samples=200, seed=0)  # fmt: skip
    assert float(two.minus(one).p_value("micro_f1", 1.0)) == pytest.approx(2 / 201)


def test_many_rows_are_resampled_in_subsets_with_the_same_width(monkeypatch):
    rows = world(np.random.default_rng(8), rows=6000)
    (plain,) = resample([rows], samples=1000, seed=1)
    monkeypatch.setattr(resampling, "LARGEST", 1500)
    (bag,) = resample([rows], samples=1000, seed=1)
    assert bag.values["micro_f1"].shape == (resampling.SUBSETS, 1000 // resampling.SUBSETS)
    for name, estimate in estimates(rows).items():
        widths = [float(np.subtract(*errors.interval(name, estimate)[::-1])) for errors in (plain, bag)]
        assert widths[1] == pytest.approx(widths[0], rel=0.12), name
        assert np.mean(bag.interval(name, estimate)) == pytest.approx(estimate, abs=0.2 * widths[0])


def test_the_interval_of_a_calibration_error_holds_the_estimate_though_resamples_are_less_calibrated():
    random = np.random.default_rng(0)
    p = random.beta(1, 12, (1500, 8))
    rows = Predictions(random.random(p.shape) < p, np.ones(p.shape, dtype=bool), p, p >= 0.3)
    (errors,) = resample([rows], samples=200, seed=0)
    estimate = ece_classwise(rows.truth, p)
    low, high = errors.interval("ece_classwise", estimate)
    assert low < estimate < high
    again = [ece_classwise(rows.truth[draw], p[draw]) for draw in random.integers(0, 1500, (50, 1500))]
    assert np.mean(again) > high  # what is centred away
