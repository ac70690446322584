"""Comparing models: McNemar against the binomial and a simulation, gains against scikit-learn, flips by hand."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from shared.calibration import sigmoid
from shared.errors import DataFormatError
from training.evaluation.comparison import Candidate, compare, mcnemar
from training.evaluation.measures import Predictions

LABELS = ("a", "b", "c")


def models(count=600, noise=(1.0, 1.6), seed=0, known=1.0):
    random = np.random.default_rng(seed)
    signal = random.normal(-0.5, 2.0, (count, 3))
    truth = random.random(signal.shape) < sigmoid(signal)
    mask = random.random(signal.shape) < known
    found = []
    for place, width in enumerate(noise):
        p = sigmoid(signal + random.normal(0, width, signal.shape))
        found.append(Candidate("mn"[place], Predictions(truth & mask, mask, p, p >= 0.4)))
    return found


def test_mcnemar_is_the_binomial_test_of_the_discordant_rows():
    first = np.array([True] * 40 + [True] * 12 + [False] * 3 + [False] * 5)
    second = np.array([True] * 40 + [False] * 12 + [True] * 3 + [False] * 5)
    found = mcnemar(first, second)
    assert (found["only_first"], found["only_second"]) == (12, 3)
    assert found["p"] == pytest.approx(2 * stats.binom.cdf(3, 15, 0.5))
    assert mcnemar(first, first)["p"] == 1.0


def test_mcnemar_rejects_equal_models_no_more_often_than_it_says_and_finds_a_difference_with_the_known_power():
    random = np.random.default_rng(0)

    def rejected(gain, worlds=600, rows=300):
        p = np.array([0.7, 0.1 - gain, 0.1 + gain, 0.1])
        drawn = random.multinomial(rows, p, size=worlds)
        right = [np.repeat([[True, True], [True, False], [False, True], [False, False]], row, axis=0) for row in drawn]
        return np.mean([mcnemar(both[:, 0], both[:, 1])["p"] < 0.05 for both in right])

    assert 0.015 <= rejected(0.0) <= 0.05  # the exact test keeps its level and is a little below it
    discordant = np.arange(301)
    share = stats.binom.pmf(discordant, 300, 0.2)
    critical = stats.binom.ppf(0.025, discordant, 0.5) - 1  # the most on the smaller side that still rejects
    power = float(share @ (stats.binom.cdf(critical, discordant, 0.75) + stats.binom.cdf(critical, discordant, 0.25)))
    assert rejected(0.05) == pytest.approx(power, abs=0.05)


def test_gains_are_differences_of_the_metrics_and_the_better_model_is_named():
    better, worse = models()
    found = compare([worse, better], LABELS, samples=300)
    gain = found["against_first"][0]["gains"]["macro_f1"]
    scores = [f1_score(c.predictions.truth, c.predictions.decisions, average="macro") for c in (worse, better)]
    assert gain["difference"] == pytest.approx(scores[1] - scores[0])
    assert gain["interval"][0] < gain["difference"] < gain["interval"][1]
    assert gain["better"] is True
    brier = found["against_first"][0]["gains"]["brier"]
    assert brier["difference"] < 0
    assert brier["better"] is True
    back = compare([better, worse], LABELS, samples=300)["against_first"][0]["gains"]["macro_f1"]
    assert back["difference"] == pytest.approx(-gain["difference"])
    assert back["better"] is False


def test_a_model_against_itself_gains_nothing():
    (one, _) = models()
    found = compare([one, Candidate("again", one.predictions)], LABELS, samples=50, texts=["t"] * 600)
    against = found["against_first"][0]
    assert all(row["difference"] == 0 and row["better"] is None and row["p"] == 1 for row in against["gains"].values())
    assert against["agreement"]["decisions"] == against["agreement"]["kappa"] == 1
    assert against["flips"] == {"only_this": [], "only_first": []}


def test_one_improved_label_is_found_and_the_others_are_not_after_the_correction():
    first, second = models(count=1500, noise=(1.2, 1.2))
    decisions = second.predictions.decisions.copy()
    decisions[:, 1] = second.predictions.truth[:, 1]
    second = Candidate("n", Predictions(first.predictions.truth, first.predictions.known,
                                        second.predictions.probabilities, decisions))  # fmt: skip
    rows = compare([first, second], LABELS, samples=500)["against_first"][0]["labels"]
    assert [name for name in LABELS if rows[name]["f1"]["p_adjusted"] < 0.05] == ["b"]
    assert all(rows[name]["f1"]["p_adjusted"] >= rows[name]["f1"]["p"] for name in LABELS)


def test_flips_show_the_rows_that_one_model_alone_gets_right():
    truth = np.array([[1, 0], [0, 1], [1, 1]], dtype=bool)
    known = np.array([[1, 1], [1, 1], [1, 0]], dtype=bool)
    p = np.full(truth.shape, 0.5)
    one = Predictions(truth & known, known, p, np.array([[1, 0], [1, 1], [0, 0]], dtype=bool))
    two = Predictions(truth & known, known, p, np.array([[0, 0], [0, 1], [1, 1]], dtype=bool))
    found = compare([Candidate("one", one), Candidate("two", two)], ("x", "y"), texts=["r0", "r1", "r2"], samples=20)
    flips = found["against_first"][0]["flips"]
    assert [row["text"] for row in flips["only_this"]] == ["r1", "r2"]
    assert flips["only_this"][0] == {"text": "r1", "true": ["y"], "first": ["x", "y"], "this": ["y"]}
    assert [row["text"] for row in flips["only_first"]] == ["r0"]
    assert found["against_first"][0]["mcnemar"]["rows"] == {"only_first": 1, "only_second": 2, "p": 1.0}


def test_rows_that_are_not_the_same_and_a_single_model_are_refused():
    one, two = models()
    with pytest.raises(DataFormatError, match="needs two models or more, and got 1"):
        compare([one], LABELS, samples=10)
    shorter = Candidate("short", two.predictions.take(np.arange(500)))
    with pytest.raises(DataFormatError, match=r"short and m were not evaluated on the same rows: \(500, 3\)"):
        compare([one, shorter], LABELS, samples=10)
