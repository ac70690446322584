import numpy as np
import pytest
from sklearn import metrics as sk

from shared import metrics


@pytest.fixture
def scores():
    generator = np.random.default_rng(3)
    truth = (generator.random((300, 6)) < [0.5, 0.3, 0.1, 0.05, 0.02, 0.0]).astype(int)
    probabilities = np.clip(np.round(generator.random((300, 6)) * 0.7 + truth * 0.25, 2), 0, 1)
    return truth, probabilities, probabilities >= 0.6


def test_f1_scores_equal_scikit_learn(scores):
    truth, _, decisions = scores
    for average, ours in [
        ("macro", metrics.macro_f1),
        ("micro", metrics.micro_f1),
        ("samples", metrics.samples_f1),
    ]:
        assert ours(truth, decisions) == pytest.approx(sk.f1_score(truth, decisions, average=average, zero_division=0))


def test_average_precision_equals_scikit_learn_with_ties(scores):
    truth, probabilities, _ = scores
    ours = metrics.average_precision(truth, probabilities)
    expected = [sk.average_precision_score(truth[:, i], probabilities[:, i]) for i in range(5)]
    assert ours[:5].tolist() == pytest.approx(expected)
    assert np.isnan(ours[5])


def test_brier_and_nll_equal_scikit_learn(scores):
    truth, probabilities, _ = scores
    assert metrics.brier(truth, probabilities) == pytest.approx(
        sk.brier_score_loss(truth.ravel(), probabilities.ravel())
    )
    clipped = np.clip(probabilities.ravel(), metrics.EPSILON, 1 - metrics.EPSILON)
    assert metrics.nll(truth, probabilities) == pytest.approx(sk.log_loss(truth.ravel(), clipped))


def test_calibration_error_by_hand():
    outcomes, probabilities = np.array([1.0, 0.0, 1.0, 1.0]), np.array([0.9, 0.9, 0.1, 0.1])
    assert metrics.ece(outcomes, probabilities, bins=2) == pytest.approx(0.5 * 0.4 + 0.5 * 0.9)
    assert metrics.ece(np.array([]), np.array([])) == 0.0


def test_predicting_each_labels_rate_has_no_classwise_calibration_error():
    truth = np.zeros((100, 2))
    truth[:20, 0], truth[:5, 1] = 1, 1
    assert metrics.ece_classwise(truth, np.tile([0.2, 0.05], (100, 1))) == pytest.approx(0.0)


def test_unknown_entries_count_nowhere(scores):
    truth, probabilities, decisions = scores
    known = np.random.default_rng(0).random(truth.shape) < 0.6
    flipped = np.where(known, truth, 1 - truth)
    labels = list("abcdef")
    assert metrics.evaluate(truth, probabilities, decisions, labels, known) == metrics.evaluate(
        flipped, probabilities, decisions, labels, known
    )
    column = known[:, 0]
    assert metrics.f1_per_label(truth, decisions, known)[0] == pytest.approx(
        sk.f1_score(truth[column, 0], decisions[column, 0])
    )


def test_evaluate_is_plain_json_and_names_every_label(scores):
    import json

    truth, probabilities, decisions = scores
    result = json.loads(json.dumps(metrics.evaluate(truth, probabilities, decisions, list("abcdef")), allow_nan=False))
    precision, recall, f1, support = sk.precision_recall_fscore_support(truth, decisions, zero_division=0)
    for i, label in enumerate("abcdef"):
        row = result["per_label"][label]
        assert (row["precision"], row["recall"], row["f1"]) == pytest.approx((precision[i], recall[i], f1[i]))
        assert row["support"] == support[i]
    assert result["per_label"]["f"]["ap"] is None


def test_the_bootstrap_interval_of_a_mean_is_that_of_the_normal_law():
    values = np.random.default_rng(1).normal(size=400)
    low, high = metrics.bootstrap_interval(lambda rows: values[rows].mean(), 400, samples=2000)
    half_width = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half_width, values.mean() + half_width), abs=0.02)
    assert (low, high) == metrics.bootstrap_interval(lambda rows: values[rows].mean(), 400, samples=2000)


def test_metrics_of_one_label_a_text_equal_scikit_learn():
    generator = np.random.default_rng(5)
    names = ["a", "b", "c", "d"]
    truth, found = generator.choice(4, size=200, p=[0.6, 0.3, 0.1, 0.0]), generator.choice(4, size=200)
    y, d = np.eye(4)[truth], np.eye(4, dtype=bool)[found]
    assert metrics.accuracy(y, d) == pytest.approx(sk.accuracy_score(truth, found))
    assert metrics.weighted_f1(y, d) == pytest.approx(sk.f1_score(truth, found, average="weighted", zero_division=0))
    expected = sk.confusion_matrix(truth, found, labels=range(4))
    table = metrics.confusion_matrix(y, d, names)
    assert [[table.get(t, {}).get(f, 0) for f in names] for t in names] == expected.tolist()
    assert "d" not in table  # a label that does not occur has no row
    report = metrics.evaluate(y, d * 0.9, d, names, single_label=True)
    assert (report["accuracy"], report["confusion_matrix"]) == (metrics.accuracy(y, d), table)
    assert "accuracy" not in metrics.evaluate(y, d * 0.9, d, names)


def test_accuracy_leaves_out_examples_whose_label_is_unknown():
    truth, decisions = np.eye(3)[[0, 1, 2, 0]], np.eye(3, dtype=bool)[[0, 2, 2, 0]]
    known = np.ones((4, 3), dtype=bool)
    known[3] = False
    assert metrics.accuracy(truth, decisions, known) == pytest.approx(2 / 3)
    assert metrics.accuracy(truth, decisions & False, known) == 0.0  # nothing decided is not right
    assert metrics.confusion_matrix(truth, decisions, list("abc"), known) == {
        "a": {"a": 1},
        "b": {"c": 1},
        "c": {"c": 1},
    }
    assert np.isnan(metrics.accuracy(truth, decisions, known & False))
