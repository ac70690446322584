"""Faults planted in data and models are found where the report says one should look."""

import numpy as np
import pytest

from shared.calibration import sigmoid
from training.evaluation import panels
from training.evaluation.label_errors import candidates, label_quality
from training.evaluation.measures import Predictions
from training.evaluation.sections import confusions, row_losses
from training.evaluation.slices import TokenCounts, micro_f1_interval, slices

NAMES = tuple("abcdefgh")


def a_good_model(rows=3000, seed=0):
    random = np.random.default_rng(seed)
    truth = np.eye(8, dtype=bool)[random.integers(0, 8, rows)] | (random.random((rows, 8)) < 0.02)
    p = sigmoid(np.where(truth, 2.5, -3.5) + random.normal(0, 1.2, truth.shape))
    return truth, p, random


def test_a_mislabelled_row_is_among_the_first_candidates():
    truth, p, random = a_good_model()
    planted = random.choice(len(truth), len(truth) // 50, replace=False)
    given = truth.copy()
    given[planted] = np.roll(truth[planted], 3, axis=1)
    rows = Predictions(given, np.ones_like(given), p, p >= 0.5)
    first = np.argsort(label_quality(rows))[: 2 * len(planted)]
    assert np.isin(planted, first).mean() >= 0.6
    listed = candidates(
        rows, row_losses(rows), NAMES, [f"text {i}" for i in range(len(given))], list(map(str, range(3000)))
    )
    assert np.mean([int(row["id"]) in set(planted) for row in listed]) > 0.6
    assert listed[0]["suggested"]


def test_the_quality_of_labels_by_hand_and_unknown_entries_agree_with_everything():
    truth = np.array([[True, False, False], [True, False, True]])
    known = np.array([[True, True, True], [True, True, False]])
    p = np.array([[0.9, 0.3, 0.4], [0.9, 0.3, 0.0]])
    # confidences 0.9, 0.7, 0.6 and 0.9, 0.7, 1 (unknown); from high to low, the next weighing 0.8
    expected = [0.8 * 0.6 + 0.2 * (0.8 * 0.7 + 0.2 * 0.9), 0.8 * 0.7 + 0.2 * (0.8 * 0.9 + 0.2 * 1.0)]
    assert label_quality(Predictions(truth, known, p, p >= 0.5)) == pytest.approx(expected)


def test_two_swapped_labels_are_the_two_darkest_cells_of_the_confusion_map():
    truth, p, _ = a_good_model()
    swapped = p.copy()
    swapped[:, [2, 5]] = p[:, [5, 2]]
    rows = Predictions(truth, np.ones_like(truth), swapped, swapped >= 0.5)
    assert {pair[:2] for pair in confusions(rows, NAMES)[:2]} == {("c", "f"), ("f", "c")}
    table = panels.instead(rows.truth, rows.decisions, rows.known)
    apart = np.sort(table.ravel())[::-1]
    assert apart[1] > 5 * apart[2]
    drawing = panels.heat_map(table / table.max(), NAMES, table, down="missed", across="instead")
    assert "c, f: " in drawing
    assert drawing.count("<rect") == (table > 0).sum()


def test_labels_that_occur_together_stand_side_by_side():
    random = np.random.default_rng(0)
    truth = random.random((400, 6)) < 0.1
    truth[:, 4] = truth[:, 0]
    order = list(panels.cluster_order(panels.co_occurrence(truth)))
    assert abs(order.index(0) - order.index(4)) == 1


def test_a_slice_on_which_the_model_fails_stands_out_and_slices_add_up():
    truth, p, random = a_good_model(1200)
    texts = ["I do not know" if i % 3 == 0 else "I know it!" for i in range(1200)]
    p[::3] = sigmoid(random.normal(-2, 1, p[::3].shape))
    rows = Predictions(truth, np.ones_like(truth), p, p >= 0.5)
    unknown = (np.arange(1200) % 4 == 0) * 2.0
    table = slices(rows, texts, ["x"] * 1200, TokenCounts(np.arange(1200.0), np.zeros(1200, dtype=bool), unknown))
    found = {row["part"]: row for row in table}
    assert found["with negation"]["rows"] + found["without negation"]["rows"] == 1200
    assert found["with negation"]["interval"][1] < found["without negation"]["interval"][0]
    assert sum(row["rows"] for row in table if row["by"] == "length") == 1200
    assert (found["some tokens unknown"]["rows"], found["every token known"]["rows"]) == (300, 900)
    assert "read whole" not in found  # all of the rows are no slice


def test_the_interval_of_a_slice_is_that_of_its_bootstrap():
    random = np.random.default_rng(2)
    hit = random.integers(0, 3, 800)
    total = 2 * hit + random.integers(0, 3, 800)
    ratio, (low, high) = micro_f1_interval(hit, total)
    draws = random.integers(0, 800, (2000, 800))
    again = 2 * hit[draws].sum(axis=1) / total[draws].sum(axis=1)
    assert ratio == pytest.approx(2 * hit.sum() / total.sum())
    assert [low, high] == pytest.approx(np.quantile(again, [0.025, 0.975]), abs=0.004)
    assert micro_f1_interval([0, 0], [0, 0]) == (None, None)


def test_the_panels_of_a_label_hold_its_threshold_and_its_counts():
    truth, p, _ = a_good_model(500)
    y, q = truth[:, 0], p[:, 0]
    best = panels.f1_over_threshold(y, q, 0.3)
    assert 'x1="30.0"' in best
    assert "mark" not in panels.f1_over_threshold(y, q, float("nan"))
    assert "the chosen threshold" in panels.precision_recall(y, q, 0.3)
    counts = [
        int(n.replace(",", "")) for n in __import__("re").findall(r"<title>([\d,]+) rows", panels.reliability(y, q))
    ]
    assert sum(counts) == 500
    assert panels.precision_recall(np.zeros(5, dtype=bool), np.ones(5), 0.5) == ""
