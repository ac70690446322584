"""Metrics under weightings are those of scikit-learn with sample weights, and of rows repeated."""

import numpy as np
import pytest
from sklearn import metrics as sk

from shared import metrics as ours
from shared.calibration import sigmoid
from training.evaluation.measures import Measures, Predictions, names, ranking_per_row
from training.evaluation.scoring import measure

LABELS = ("a", "b", "c", "d", "e")


def some_rows(count=300, *, known=1.0, seed=0, ties=False):
    random = np.random.default_rng(seed)
    logits = random.normal(-0.5, 2.0, (count, len(LABELS)))
    probabilities = np.round(sigmoid(logits), 1) if ties else sigmoid(logits)
    truth = random.random(logits.shape) < sigmoid(logits)
    mask = random.random(logits.shape) < known
    return Predictions(truth & mask, mask, probabilities, probabilities >= 0.4)


@pytest.mark.parametrize("ties", [False, True])
def test_fully_known_rows_have_the_metrics_of_scikit_learn(ties):
    rows = some_rows(ties=ties)
    y, p, d = rows.truth, rows.probabilities, rows.decisions
    expected = {
        **{f"{kind}_f1": sk.f1_score(y, d, average=kind, zero_division=0) for kind in ("macro", "micro", "weighted")},
        "samples_f1": sk.f1_score(y, d, average="samples", zero_division=0),
        "subset_accuracy": sk.accuracy_score(y, d),
        "macro_ap": sk.average_precision_score(y, p, average="macro"),
        "macro_roc_auc": sk.roc_auc_score(y, p, average="macro"),
        "lrap": sk.label_ranking_average_precision_score(y, p),
        "coverage_error": sk.coverage_error(y, p),
        "brier": np.mean([sk.brier_score_loss(y[:, i], p[:, i]) for i in range(5)]),
    }
    once = Measures(rows).under(np.ones((1, len(rows))))
    found = measure(rows, LABELS)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name
        assert once[name][0] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("ties", [False, True])
def test_with_unknown_entries_each_label_has_the_metrics_of_its_known_rows(ties):
    rows = some_rows(known=0.7, ties=ties)
    found, once = measure(rows, LABELS), Measures(rows).under(np.ones((1, len(rows))))
    for i, name in enumerate(LABELS):
        k = rows.known[:, i]
        y, p, d = rows.truth[k, i], rows.probabilities[k, i], rows.decisions[k, i]
        row = found["per_label"][name]
        for measured, value in {
            "f1": sk.f1_score(y, d), "ap": sk.average_precision_score(y, p), "roc_auc": sk.roc_auc_score(y, p),
            "brier": sk.brier_score_loss(y, p),
        }.items():  # fmt: skip
            assert row[measured] == pytest.approx(value, abs=1e-12)
            assert once[f"label_{measured}"][0, i] == pytest.approx(value, abs=1e-12)
    for name in names(once):
        assert once[name][0] == pytest.approx(found[name], abs=1e-9), name


def test_ranking_looks_at_the_known_labels_of_each_row_alone():
    rows = some_rows(60, known=0.6)
    precision, coverage = ranking_per_row(rows)
    for i in range(len(rows)):
        k = rows.known[i]
        if k.sum() < 2:
            continue
        y, p = rows.truth[i : i + 1, k], rows.probabilities[i : i + 1, k]
        assert precision[i] == pytest.approx(sk.label_ranking_average_precision_score(y, p))
        assert coverage[i] == pytest.approx(sk.coverage_error(y, p))


@pytest.mark.parametrize("known", [1.0, 0.8])
def test_a_row_that_counts_three_times_is_three_rows(known):
    rows = some_rows(120, known=known, ties=True, seed=3)
    weights = np.random.default_rng(1).integers(0, 4, (3, len(rows)))
    found = Measures(rows).under(weights)
    for place, weight in enumerate(weights):
        again = rows.take(np.repeat(np.arange(len(rows)), weight))
        expected = Measures(again).under(np.ones((1, len(again))))
        for name, values in expected.items():
            assert found[name][place] == pytest.approx(values[0], nan_ok=True), name


def test_a_label_that_is_known_nowhere_counts_in_no_mean():
    rows = some_rows()
    known = rows.known.copy()
    known[:, 2] = False
    partly = Predictions(rows.truth & known, known, rows.probabilities, rows.decisions)
    once = Measures(partly).under(np.ones((1, len(rows))))
    kept = [0, 1, 3, 4]
    assert np.isnan(once["label_f1"][0, 2])
    assert once["macro_f1"][0] == pytest.approx(
        np.mean([sk.f1_score(rows.truth[:, i], rows.decisions[:, i]) for i in kept])
    )
    assert once["macro_ap"][0] == pytest.approx(
        sk.average_precision_score(rows.truth[:, kept], rows.probabilities[:, kept])
    )
    assert once["ece_classwise"][0] == pytest.approx(ours.ece_classwise(partly.truth, partly.probabilities, known))
