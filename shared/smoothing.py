"""Simple exponential smoothing of probabilities along the turns of a conversation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.errors import ConfigError


class ExponentialSmoothing:
    """s_1 = p_1 and s_t = a s_(t-1) + (1 - a) p_t (Brown 1959, Statistical Forecasting for Inventory Control).

    The weight of a turn n turns back is (1 - a) a^n: at 0.5 half of what is seen is the turn itself, at 0 all of it.

    Args:
        weight: a, of what came before, 0 up to but not including 1.

    Raises:
        ConfigError: when it is outside.
    """

    def __init__(self, weight: float) -> None:
        number = isinstance(weight, int | float | np.floating)
        if not number or not 0 <= weight < 1:
            said = f"{weight:g}" if number else repr(weight)[:40]
            raise ConfigError(f"smoothing is {said}; allowed: 0 (none) up to, but not, 1.")
        self.weight = weight
        self._state: NDArray[np.float64] | None = None

    def begin(self) -> None:
        """Another conversation begins."""
        self._state = None

    def next(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """The smoothed probabilities of the next turn, shape (L,)."""
        p = np.asarray(probabilities, dtype=np.float64)
        self._state = p if self._state is None else self.weight * self._state + (1 - self.weight) * p
        return self._state
