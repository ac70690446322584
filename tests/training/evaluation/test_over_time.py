"""Drift that begins in a month is dated to it; without drift nothing is."""

import numpy as np
import pytest

from shared.drift import Histograms, edges
from shared.thresholds import Policies
from training.evaluation.measures import Predictions
from training.evaluation.over_time import change_point, drift_over_periods, metrics_over_periods, months, verdict


def a_year(random, planted=None, rows=200):
    """Month, probabilities and lengths of each row of a year; in and after the planted month joy becomes frequent."""
    names = [f"2024-{month:02d}" for month in range(1, 13)]
    periods = np.repeat(names, rows)
    rate = np.where((periods >= planted) if planted else np.zeros(len(periods), dtype=bool), 0.6, 0.2)
    joy = random.random(len(periods)) < rate
    probabilities = np.column_stack([np.where(joy, 0.8, 0.1), random.beta(2, 6, len(periods))])
    return list(periods), probabilities, random.integers(5, 40, len(periods)).astype(float)


@pytest.fixture
def bins():
    _, probabilities, lengths = a_year(np.random.default_rng(9))
    policies = Policies(("joy", "fear"), {"f1": np.array([0.5, 0.5])}, "dev")
    empty = Histograms(policies, edges(probabilities.max(axis=1)), edges(lengths), {})
    return Histograms(policies, empty.confidence_edges, empty.length_edges, empty.counts(probabilities, lengths))


def test_drift_planted_in_july_is_dated_to_july(bins):
    found = drift_over_periods(*a_year(np.random.default_rng(1), planted="2024-07"), bins)
    assert found["changes"]["labels"]["since"] == "2024-07"
    assert found["changes"]["confidence"]["since"] == "2024-07"
    assert found["changes"]["length"] is None
    indices = {row["period"]: row["against_reference"]["labels"] for row in found["periods"]}
    assert max(indices[f"2024-{month:02d}"] for month in range(1, 7)) < 0.1
    assert min(indices[f"2024-{month:02d}"] for month in range(7, 13)) > 0.25


def test_nothing_is_dated_in_years_without_drift(bins):
    random = np.random.default_rng(3)
    years = [drift_over_periods(*a_year(random), bins)["changes"] for _ in range(30)]
    assert not any(change for year in years for change in year.values())


def test_too_few_rows_and_a_single_period_have_no_change():
    counts = np.array([[5.0, 1.0], [1.0, 5.0]])
    assert change_point(counts, ["a", "b"], np.array([6, 6])) is None
    assert change_point(counts[:1], ["a"], np.array([600])) is None


def test_metrics_of_a_month_are_those_of_its_rows_and_months_are_of_utc():
    assert months(np.array([0.0, 1719791999.0, 1719792000.0])) == ["1970-01", "2024-06", "2024-07"]
    truth = np.array([[True], [False], [True], [True]])
    rows = Predictions(truth, np.ones_like(truth), truth * 0.8, np.array([[True], [True], [False], [True]]))
    found = metrics_over_periods(["b", "a", "b", "b"], rows)
    assert [row["period"] for row in found] == ["a", "b"]
    assert found[1]["micro_f1"] == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert found[1]["brier"] == pytest.approx(0.04)
    nothing = Predictions(rows.truth, np.array([[True], [False], [True], [True]]), rows.probabilities, rows.decisions)
    assert metrics_over_periods(["b", "a", "b", "b"], nothing) == [
        {"period": "a", "rows": 1, "macro_f1": None, "micro_f1": None, "brier": None}, found[1],
    ]  # fmt: skip


def test_an_index_is_stable_or_not_of_enough_rows_alone():
    assert [verdict(value, 200) for value in (0.05, 0.2, 0.3)] == ["stable", "some change", "shifted"]
    assert [verdict(value, 199) for value in (0.05, 0.2, 0.3)] == [None, None, None]
