"""Intervals of intensities by split conformal prediction on rows that were held out of training.

Lei et al. 2018, "Distribution-free predictive inference for regression", JASA 113, section 2.2. An interval of level c
around a new prediction holds the true value with probability c or more, where the new row and these are exchangeable.
The quantiles are those of crepes (Boström 2022). Shapes: N rows, L labels.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from shared.intensity import Readout, Scale, no_cuts

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ROUNDING = 1e-12
"""Taken off the level, so that (1 - 0.9) * 100, which is 9.999... in floating point, counts as ten rows."""


def half_width(residuals: Floats, level: float) -> float:
    """Half the width of intervals of `level` around predictions with these residuals, shape (N,).

    The ceil((N + 1) level)-th smallest absolute residual; infinite where the rows are too few for the level: fewer than
    level / (1 - level).
    """
    if not len(residuals):
        return float("inf")
    from crepes import ConformalRegressor  # noqa: PLC0415  (only intensities have intervals)

    conformal = ConformalRegressor()
    conformal.fit(residuals=residuals)
    confidence = level - ROUNDING
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of too few rows, which the infinite width says
        low, high = conformal.predict_int(np.zeros(1), confidence=confidence)[0]
    return float(high - low) / 2


def fit_readout(
    logits: NDArray[np.float32], shares: NDArray[np.float32], known: Bools, *, labels: tuple[str, ...], scale: Scale,
    cuts: Floats | None, level: float, split: str,
) -> Readout:  # fmt: skip
    """What logits mean, with intervals fitted on one split, for each label on the rows that annotate it.

    Args:
        logits: of the trained model, shape (N, L).
        shares: annotated intensities as shares of the scale, shape (N, L).
        known: entries that are annotated, shape (N, L).
        labels: names of the L labels.
        scale: of the intensities.
        cuts: of a cumulative link, shape (L, K-1); None for bounded regression.
        level: of the intervals, in 0..1.
        split: name of the split.
    """
    number = len(labels)
    plain = Readout(
        labels, scale, no_cuts(number) if cuts is None else cuts, level, np.full(number, np.inf),
        known.sum(axis=0).astype(np.int64), split, f"split conformal, absolute residuals (crepes {version('crepes')})",
    )  # fmt: skip
    residuals = scale.values(shares) - plain.intensities(logits)
    widths = np.array([half_width(residuals[known[:, place], place], level) for place in range(number)])
    return Readout(labels, scale, plain.cuts, level, widths, plain.fitted_rows, split, plain.method)
