from __future__ import annotations

import numpy as np
import pytest

from benchmarks.traffic.arrivals import poisson_arrivals


def test_arrivals_have_the_rate_and_the_spread_of_a_poisson_process() -> None:
    arrivals = poisson_arrivals(rate_per_s=50, seconds=400, seed=1)
    expected = 50 * 400
    assert len(arrivals) == pytest.approx(expected, abs=4 * np.sqrt(expected))
    gaps = np.diff(arrivals)
    assert gaps.min() > 0
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.03)
    # exponential: standard deviation equals the mean, and exp(-1) of the gaps are longer than it
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    assert (gaps > gaps.mean()).mean() == pytest.approx(np.exp(-1), abs=0.02)
    # counts of disjoint seconds: variance equals the mean
    counts = np.histogram(arrivals, bins=400, range=(0, 400))[0]
    assert counts.var() == pytest.approx(counts.mean(), rel=0.25)


def test_arrivals_end_in_time_and_repeat_with_their_seed() -> None:
    first, again, other = (poisson_arrivals(20, 10, seed) for seed in (3, 3, 4))
    assert first.max() < 10
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("rate", "seconds"), [(0, 1), (1, 0), (-1, 1)])
def test_a_rate_or_time_that_is_not_positive_is_refused(rate: float, seconds: float) -> None:
    with pytest.raises(ValueError, match="must both be above 0"):
        poisson_arrivals(rate, seconds)
