"""Scales, what logits mean on them, and correlations: against numbers worked out by hand, scipy and scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import cohen_kappa_score

from shared.errors import BundleFormatError, ConfigError
from shared.intensity import Readout, Scale, no_cuts
from shared.intensity_metrics import evaluate_intensities, pearson, quadratic_kappa, ranks, spearman

UNIT, GRADES = Scale(0.0, 1.0), Scale(0.0, 3.0, 1.0)


def readout(cuts=None, scale=UNIT, widths=(0.2, np.inf)):
    cuts = no_cuts(2) if cuts is None else np.array(cuts, dtype=float)
    return Readout(("joy", "fear"), scale, cuts, 0.9, np.array(widths), np.array([40, 3]))


@pytest.mark.parametrize(
    ("said", "expected"), [("0:1", UNIT), ("0:3:1", GRADES), ("-1:1:0.5", Scale(-1, 1, 0.5)), ("1:5", Scale(1, 5))]
)
def test_a_scale_is_read_as_it_is_said(said, expected):
    assert Scale.parse(said) == expected
    assert Scale.of(json.loads(json.dumps(expected.to_json()))) == expected


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("0-1", "expected low:high"), ("a:b", "expected low:high"), ("0:1:2:3", "expected low:high"),
        ("1:1", "is empty"), ("3:0", "is empty"), ("0:3:2", "does not divide"), ("0:3:-1", "does not divide"),
        ("0:1:0.001", "does not divide"), ("nan:1", "is empty"),
    ],
)  # fmt: skip
def test_what_is_no_scale_is_refused(said, message):
    with pytest.raises(ConfigError, match=message):
        Scale.parse(said)


def test_bounded_regression_is_the_sigmoid_on_the_scale():
    logits = np.array([[0.0, np.log(3.0)], [-np.log(4.0), 0.0]])
    assert readout().intensities(logits) == pytest.approx(np.array([[0.5, 0.75], [0.2, 0.5]]))
    assert readout(scale=Scale(1, 5)).intensities(logits) == pytest.approx(np.array([[3.0, 4.0], [1.8, 3.0]]))
    assert readout().levels(logits) is None
    assert readout(scale=GRADES).levels(np.array([[0.0, np.log(3.0)]])) == pytest.approx(np.array([[2.0, 2.0]]))


def test_a_cumulative_link_gives_each_level_its_probability_as_worked_out_by_hand():
    # cuts log(1/3), 0, log(3) at z = 0: P(Y > k) = 3/4, 1/2, 1/4, so each level has 1/4 and the mean is 1.5
    cuts = [[np.log(1 / 3), 0.0, np.log(3.0)], [-1.0, 0.0, 1.0]]
    found = readout(cuts, GRADES)
    logits = np.array([[0.0, 0.0], [np.log(3.0), 0.0]])
    assert found.level_probabilities(logits, 0)[0] == pytest.approx([0.25] * 4)
    assert found.intensities(logits)[0, 0] == pytest.approx(1.5)
    # at z = log 3: P(Y > k) = 9/10, 3/4, 1/2: levels 1/10, 3/20, 1/4, 1/2, and the mean is 2.15
    assert found.level_probabilities(logits, 0)[1] == pytest.approx([0.1, 0.15, 0.25, 0.5])
    assert found.intensities(logits)[1, 0] == pytest.approx(2.15)


def test_probabilities_of_levels_sum_to_one_and_never_fall_below_zero():
    random = np.random.default_rng(0)
    found = readout(np.sort(random.normal(size=(2, 3)), axis=1), GRADES)
    logits = random.normal(scale=6, size=(200, 2))
    for label in range(2):
        p = found.level_probabilities(logits, label)
        assert (p >= 0).all()
        assert p.sum(axis=1) == pytest.approx(np.ones(200))
        assert (p @ np.arange(4)) == pytest.approx(found.intensities(logits)[:, label])


def test_the_level_decided_is_the_median():
    found = readout([[-1.0, 0.5, 2.0], [-1.0, 0.5, 2.0]], GRADES)
    logits = np.array([[-2.0, -0.9], [0.6, 5.0]])
    assert found.levels(logits).tolist() == [[0.0, 1.0], [2.0, 3.0]]
    p = np.cumsum(found.level_probabilities(logits, 0), axis=1)
    assert [int((row < 0.5).sum()) for row in p] == [0, 2]


def test_intervals_stay_on_the_scale_and_are_the_whole_of_it_where_nothing_is_known():
    low, high = readout().intervals(np.array([[0.1, 0.5], [0.95, 0.2]]))
    assert low == pytest.approx(np.array([[0.0, 0.0], [0.75, 0.0]]))
    assert high == pytest.approx(np.array([[0.3, 1.0], [1.0, 1.0]]))


@pytest.mark.parametrize("cuts", [None, [[-1.0, 0.5, 2.0], [-2.0, 0.0, 0.1]]])
def test_a_readout_is_read_as_it_was_written(tmp_path, cuts):
    written = readout(cuts, GRADES)
    written.write(tmp_path)
    again = Readout.read(tmp_path, GRADES)
    assert (again.labels, again.interval_level, again.fitted_on) == (written.labels, 0.9, "dev")
    assert (again.cuts == written.cuts).all()
    assert (again.half_widths == written.half_widths).all()
    assert (again.fitted_rows == written.fitted_rows).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["labels"]["joy"].update(cuts=[2.0, 1.0, 3.0]), "must be finite and rise"),
        (lambda c: [row.update(cuts=[0.0, 1.0]) for row in c["labels"].values()], "2 cuts a label for 4 levels"),
        (lambda c: c["labels"]["joy"].update(half_width=-1), "half width of 0 or more"),
        (lambda c: c["labels"]["joy"].pop("half_width"), "lacks or garbles"),
        (lambda c: c["interval"].update(level=1.5), "not within 0..1"),
        (lambda c: c.pop("labels"), "lacks or garbles"),
    ],
)  # fmt: skip
def test_a_garbled_readout_is_refused(tmp_path, change, message):
    readout([[-1.0, 0.5, 2.0], [-2.0, 0.0, 0.1]], GRADES).write(tmp_path)
    content = json.loads((tmp_path / "intensity.json").read_text())
    change(content)
    (tmp_path / "intensity.json").write_text(json.dumps(content))
    with pytest.raises(BundleFormatError, match=message):
        Readout.read(tmp_path, GRADES)


def test_correlations_equal_those_of_scipy_with_ties_too():
    random = np.random.default_rng(1)
    for _ in range(20):
        x, y = random.integers(0, 4, 50) / 3, random.random(50)
        assert pearson(x, y) == pytest.approx(pearsonr(x, y).statistic)
        assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)
    assert ranks([3.0, 1.0, 3.0, 2.0]).tolist() == [3.5, 1.0, 3.5, 2.0]


def test_kappa_equals_that_of_scikit_learn():
    random = np.random.default_rng(2)
    for _ in range(20):
        a, b = random.integers(0, 4, 60), random.integers(0, 4, 60)
        assert quadratic_kappa(a, b, 4) == pytest.approx(cohen_kappa_score(a, b, weights="quadratic"))
    assert quadratic_kappa([0, 1, 2], [0, 1, 2], 3) == 1.0


@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [3.0, 3.0])])
def test_what_is_not_defined_is_none(x, y):
    assert pearson(x, y) is None
    assert spearman(x, y) is None


def test_kappa_of_one_level_alone_is_none():
    assert quadratic_kappa([], [], 4) is None
    assert quadratic_kappa([1, 1], [1, 1], 4) is None


def test_the_metrics_of_a_continuous_scale_are_those_of_ei_reg():
    random = np.random.default_rng(3)
    gold = random.random((80, 2))
    found, known = np.clip(gold + random.normal(0, 0.2, gold.shape), 0, 1), random.random(gold.shape) < 0.7
    result = evaluate_intensities(gold, found, known, ("joy", "fear"), UNIT)
    expected, some = [], []
    for place in range(2):
        x, y = gold[known[:, place], place], found[known[:, place], place]
        expected.append(pearsonr(x, y).statistic)
        some.append(pearsonr(x[x >= 0.5], y[x >= 0.5]).statistic)
    assert [row["pearson"] for row in result["per_label"].values()] == pytest.approx(expected)
    assert [row["pearson_some"] for row in result["per_label"].values()] == pytest.approx(some)
    assert result["pearson"] == pytest.approx(np.mean(expected))
    assert "kappa" not in result


def test_the_metrics_of_levels_are_those_of_ei_oc():
    random = np.random.default_rng(4)
    gold = random.integers(0, 4, (90, 1)).astype(float)
    levels = np.clip(gold + random.integers(-1, 2, gold.shape), 0, 3)
    row = evaluate_intensities(
        gold, levels + 0.1, np.ones(gold.shape, bool), ("joy",), GRADES, levels=levels
    )["per_label"]["joy"]  # fmt: skip
    some = gold[:, 0] > 0
    assert row["level_pearson"] == pytest.approx(pearsonr(gold[:, 0], levels[:, 0]).statistic)
    assert row["level_pearson_some"] == pytest.approx(pearsonr(gold[some, 0], levels[some, 0]).statistic)
    assert row["kappa"] == pytest.approx(cohen_kappa_score(gold[:, 0], levels[:, 0], weights="quadratic"))
    assert row["kappa_some"] == pytest.approx(cohen_kappa_score(gold[some, 0], levels[some, 0], weights="quadratic"))
    assert row["mae"] == pytest.approx(np.abs(gold - levels - 0.1).mean())


def test_labels_without_rows_or_variation_have_nulls_that_count_in_no_mean():
    gold, found = np.array([[0.2, 0.5, 0.0], [0.8, 0.5, 0.0]]), np.array([[0.3, 0.4, 0.1], [0.6, 0.6, 0.2]])
    known = np.array([[True, True, False], [True, True, False]])
    result = evaluate_intensities(gold, found, known, ("joy", "fear", "anger"), UNIT)
    assert result["per_label"]["fear"]["pearson"] is None
    assert result["per_label"]["anger"]["mae"] is None
    assert result["pearson"] == pytest.approx(1.0)
    assert (result["undefined"], result["not_annotated"]) == (["fear"], ["anger"])
    assert result["per_label"]["joy"]["pearson_some"] is None
