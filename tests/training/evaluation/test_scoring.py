"""Figures of a split: baselines, intervals and policies."""

import numpy as np
import pytest

from shared.calibration import Calibration, sigmoid
from shared.metrics import bootstrap_interval, macro_f1, micro_f1
from shared.thresholds import Policies, decide
from tests.training.rows import tiny_corpus
from training.data.corpus import label_frequencies
from training.evaluation.measures import Predictions
from training.evaluation.scoring import SplitPredictions, intervals, measure, score

LABELS = ("a", "b", "c")


@pytest.fixture
def split():
    random = np.random.default_rng(0)
    logits = random.normal(-0.5, 2.0, (200, 3)).astype(np.float32)
    return SplitPredictions(
        "dev", random.random(logits.shape) < sigmoid(logits), random.random(logits.shape) < 0.9, logits
    )


@pytest.fixture
def policies():
    return Policies(LABELS, {"f1": np.array([0.3, 0.4, 0.5]), "half": np.full(3, 0.5)}, "dev")


def test_the_default_policy_gives_the_figures_and_the_others_a_row(split, policies):
    metrics = score(split, Calibration.identity(3), policies)
    decisions = {name: decide(sigmoid(split.logits), policies.get(name)) for name in ("f1", "half")}
    assert metrics["policy"] == "f1"
    assert metrics["macro_f1"] == macro_f1(split.truth, decisions["f1"], split.known)
    assert metrics["policies"]["half"]["micro_f1"] == micro_f1(split.truth, decisions["half"], split.known)
    assert "intervals" not in metrics


def test_the_train_prior_is_a_baseline_row(split, policies):
    prior = np.array([0.2, 0.5, 0.4])
    row = score(split, Calibration.identity(3), policies, prior=prior)["baselines"]["train_prior"]
    mask, y = split.known, split.truth.astype(float)
    p = np.broadcast_to(prior, y.shape)
    assert row["brier"] == pytest.approx(((p - y) ** 2)[mask].mean())
    assert row["nll"] == pytest.approx(-(y * np.log(p) + (1 - y) * np.log(1 - p))[mask].mean())


def test_intervals_agree_with_resampling_row_by_row(split, policies):
    decisions = decide(sigmoid(split.logits), policies.get())
    rows = Predictions(split.truth, split.known, sigmoid(split.logits), decisions)
    found = intervals(rows, measure(rows, LABELS), LABELS, samples=4000, seed=0)

    def statistic(rows):
        return macro_f1(split.truth[rows], decisions[rows], split.known[rows])

    assert found["macro_f1"] == pytest.approx(bootstrap_interval(statistic, 200, samples=1500, seed=1), abs=0.01)
    assert found["level"] == 0.95
    assert set(found["per_label"]) == set(LABELS)
    for low, high in found["per_label"].values():
        assert 0 <= low <= high <= 1


def test_a_rare_label_has_a_wide_interval(policies):
    random = np.random.default_rng(0)
    truth = random.random((2000, 3)) < [0.5, 0.2, 0.003]
    decisions = truth ^ (random.random(truth.shape) < [0.2, 0.1, 0.002])
    rows = Predictions(truth, np.ones_like(truth), decisions.astype(float), decisions)
    found = intervals(rows, measure(rows, LABELS), LABELS, samples=500, seed=0)
    widths = [high - low for low, high in found["per_label"].values()]
    assert widths[2] > 4 * widths[0]


def test_frequencies_are_shares_of_the_annotated_rows():
    corpus = tiny_corpus(60, seed=0, known=0.7)
    expected = [corpus.targets[corpus.known[:, i], i].mean() for i in range(3)]
    assert label_frequencies(corpus) == pytest.approx(expected)


def test_soft_targets_count_from_one_half_on_and_unknown_ones_never():
    corpus = tiny_corpus(2, seed=0)
    corpus.targets[:] = [[0.5, 0.49, 1.0], [0.9, 0.0, 0.6]]
    corpus.known[:] = [[True, True, True], [False, True, True]]
    assert corpus.hard_targets.tolist() == [[True, False, True], [False, False, True]]
