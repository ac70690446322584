"""When requests arrive: a Poisson process, as many users who know nothing of each other make one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def poisson_arrivals(rate_per_s: float, seconds: float, seed: int = 0) -> NDArray[np.float64]:
    """Arrival times in seconds from the start, rising, all below `seconds`.

    Gaps are independent and exponential with mean 1 / `rate_per_s`.

    Raises:
        ValueError: when the rate or the time is not positive.
    """
    if rate_per_s <= 0 or seconds <= 0:
        raise ValueError(f"rate {rate_per_s} a second and time {seconds} s must both be above 0.")
    random = np.random.default_rng(seed)
    expected = rate_per_s * seconds
    times = np.cumsum(random.exponential(1 / rate_per_s, int(expected + 10 * np.sqrt(expected) + 10)))
    return times[times < seconds]
