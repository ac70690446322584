"""Thresholds of single languages, fitted on dev; they travel in the bundle as profiles named by language.

Shapes: N rows, L labels.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shared.calibration import Calibration
from shared.profiles import LANGUAGE, Profile
from shared.thresholds import Policies
from training.calibration.policies import count_on_grid, f1_thresholds
from training.config import CalibrationConfig

FEWEST_ROWS = 50
"""Rows of dev below which a language keeps the shared thresholds."""
FITTED = "f1"
"""The policy that differs by language; the others are the shared ones."""

log = logging.getLogger("training")


def fit_language_profiles(
    truth: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    known: NDArray[np.bool_],
    languages: Sequence[str] | None,
    *,
    calibration: Calibration,
    policies: Policies,
    config: CalibrationConfig,
) -> dict[str, Profile]:
    """Code of a language -> its profile: the shared temperatures, and thresholds of policy f1 of its own.

    A label's threshold lies between the one that is best in the language and the shared one, in log odds: with n
    positive rows of the language, n / (n + threshold_shrinkage) of the way. So a label that is rare there keeps the
    threshold of all languages together.

    Args:
        truth: of dev, shape (N, L).
        probabilities: calibrated, shape (N, L).
        known: annotated entries, shape (N, L).
        languages: N codes; no profile is made where they are not known, or all the same.
        calibration: the shared one.
        policies: the shared ones.
        config: shrinkage, and whether languages get thresholds of their own.
    """
    names, place = np.unique(np.asarray(languages or [""], dtype=np.str_), return_inverse=True)
    if not config.per_language:
        return {}
    found = {}
    for number, code in enumerate(names.tolist()):
        rows = place == number
        if not code or len(names) < 2 or rows.sum() < FEWEST_ROWS:
            log.info("No thresholds of its own for language %s: %d rows of dev", code or "(unknown)", rows.sum())
            continue
        counts = count_on_grid(truth[rows], probabilities[rows], known[rows])
        own = f1_thresholds(counts, config.threshold_shrinkage, towards=policies.values[FITTED])
        about = {LANGUAGE: code, "fitted_on": policies.fitted_on, "rows": int(rows.sum()), "policies": [FITTED]}
        found[code] = Profile(calibration, replace(policies, values={**policies.values, FITTED: own}), about)
    return found
