from __future__ import annotations

import numpy as np
import pytest

from benchmarks.measure.summary import Summary, percentile, speedup, summarise


def test_percentiles_of_five_values_by_hand() -> None:
    # the example of the definition's page: 15 20 35 40 50
    values = [50, 15, 40, 20, 35]
    assert [percentile(values, p) for p in (0, 5, 30, 40, 50, 100)] == [15, 15, 20, 20, 35, 50]


def test_a_percentile_agrees_with_numpy_and_is_a_measured_value() -> None:
    values = np.random.default_rng(0).random(1001)
    for percent in (1, 50, 95, 99, 99.9):
        found = percentile(values, percent)
        assert found in values
        assert found == np.percentile(values, percent, method="inverted_cdf")


def test_a_summary_by_hand() -> None:
    assert summarise([4.0, 1.0, 3.0, 2.0]) == Summary(median=2.5, low=1.0, high=3.0, count=4)


def test_a_speedup_is_the_median_of_the_quotients_of_each_round() -> None:
    assert speedup([2.0, 4.0, 90.0], [1.0, 1.0, 30.0]).median == 3.0


def test_what_cannot_be_summarised_is_refused() -> None:
    with pytest.raises(ValueError, match="no values to summarise"):
        summarise([])
    with pytest.raises(ValueError, match="no values to take a percentile of"):
        percentile([], 50)
    with pytest.raises(ValueError, match="percentile 101 is not in 0 to 100"):
        percentile([1.0], 101)
    with pytest.raises(ValueError, match="2 and 1 rounds cannot be compared"):
        speedup([1.0, 2.0], [1.0])
