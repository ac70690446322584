from __future__ import annotations

import numpy as np
import pytest

from shared.metrics import macro_f1
from shared.thresholds import decide
from training.calibration.aggregation import FEWEST_ROWS, compose, fit_aggregation
from training.config import CalibrationConfig

LABELS = ("joy", "fear", "anger")


@pytest.fixture(scope="module")
def rows():
    """Truth and probabilities of 300 rows that a good model, whose logits are normal, was wrong about now and then."""
    draw = np.random.default_rng(0)
    truth = draw.random((300, 3)) < [0.3, 0.15, 0.08]
    logits = draw.normal(np.where(truth, 2.0, -3.0), 1.5)
    return truth, 1 / (1 + np.exp(-logits))


def test_an_entry_has_the_labels_of_its_rows_and_unknown_ones_stay_unknown():
    truth = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]], dtype=bool)
    known = np.ones_like(truth)
    known[0, 2] = False
    entries = compose(np.arange(6), truth, known, np.random.default_rng(0))
    assert {len(each) for each in entries.rows} == {3, 4, 5, 6}
    assert all(len(set(each)) == len(each) for each in entries.rows)
    for each, labels, annotated in zip(entries.rows, entries.truth, entries.known, strict=True):
        assert labels.tolist() == [0 in each, 1 in each, False]
        assert annotated.tolist() == [True, True, 0 not in each]


def test_a_label_that_one_row_alone_annotates_is_known_in_no_entry():
    truth, known = np.zeros((6, 2), dtype=bool), np.ones((6, 2), dtype=bool)
    known[1:, 1] = False
    truth[0] = True
    entries = compose(np.arange(6), truth, known, np.random.default_rng(0))
    assert entries.truth.tolist() == [[0 in each, False] for each in entries.rows]
    assert entries.known.sum(axis=0).tolist() == [len(entries.rows), 0]


def test_entries_of_which_nothing_is_known_leave_the_union_of_the_segments(rows):
    truth, probabilities = rows
    known = np.zeros_like(truth)
    known[np.flatnonzero(truth.any(axis=1))[:5]] = True  # too few of either half to make up an entry
    found = fit_aggregation(
        truth & known, probabilities, known, labels=LABELS, config=CalibrationConfig(), split="dev"
    )  # fmt: skip
    assert (found.method, found.policies, found.measured) == ("max", None, {})


def test_thresholds_of_entries_decide_new_entries_better_than_those_of_rows(rows):
    truth, probabilities = rows
    known = np.ones_like(truth)
    found = fit_aggregation(
        truth[:200], probabilities[:200], known[:200], labels=LABELS, config=CalibrationConfig(), split="dev"
    )
    assert found.policies is not None
    measured = found.measured["macro_f1"]
    assert measured[found.measured["chosen"]] >= max(measured.values()) - 0.02
    entries = compose(np.arange(200, 300), truth, known, np.random.default_rng(1))
    p = entries.probabilities(probabilities, found.method)
    own = macro_f1(entries.truth, decide(p, found.policies.get("f1")))
    halves = macro_f1(entries.truth, decide(entries.probabilities(probabilities, "max"), 0.5))
    assert own > halves - 0.01
    assert own > 0.85


def test_the_same_seed_gives_the_same_thresholds(rows):
    truth, probabilities = rows
    fits = [
        fit_aggregation(
            truth, probabilities, np.ones_like(truth), labels=LABELS, config=CalibrationConfig(), split="dev", seed=seed
        )
        for seed in (3, 3)
    ]
    assert fits[0].measured == fits[1].measured
    assert fits[0].policies.content() == fits[1].policies.content()


def test_too_few_rows_leave_the_union_of_the_segments(rows):
    truth, probabilities = (each[: FEWEST_ROWS - 1] for each in rows)
    found = fit_aggregation(
        truth, probabilities, np.ones_like(truth), labels=LABELS, config=CalibrationConfig(), split="dev"
    )
    assert (found.method, found.policies) == ("max", None)
