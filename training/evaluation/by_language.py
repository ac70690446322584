"""Metrics of every language among some rows, under the shared thresholds and under its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shared.calibration import Calibration
from shared.metrics import macro_f1, micro_f1
from shared.profiles import DEFAULT, Profile, for_language
from training.evaluation.measures import Predictions
from training.evaluation.scoring import measure
from training.evaluation.slices import micro_f1_interval

UNKNOWN = "unknown"


def metrics_by_language(
    rows: Predictions, languages: Sequence[str] | None, labels: Sequence[str], profiles: Mapping[str, Profile], *,
    calibration: Calibration, single_label: bool = False,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Code -> metrics, the language with most rows first; nothing for one language without thresholds of its own.

    Where the bundle has thresholds for the language, as it is served, `own_thresholds` holds the F1 scores under them.

    Args:
        rows: predictions under the shared thresholds.
        languages: of every row.
        labels: names of the columns.
        profiles: those of the bundle.
        calibration: the shared one, of the probabilities in `rows`.
        single_label: whether a row has exactly one label.
    """
    codes = np.asarray(languages or [""] * len(rows), dtype=np.str_)
    names, place, counts = np.unique(codes, return_inverse=True, return_counts=True)
    of_language = {code: for_language(profiles, code) for code in names.tolist()}
    if len(names) < 2 and set(of_language.values()) == {DEFAULT}:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for number in np.argsort(-counts, kind="stable").tolist():
        code, inside = names.tolist()[number], rows.take(np.flatnonzero(place == number))
        y, d = inside.truth & inside.known, inside.decisions & inside.known
        _, interval = micro_f1_interval((y & d).sum(axis=1), y.sum(axis=1) + d.sum(axis=1))
        measured = measure(inside, labels, single_label=single_label)
        found[code or UNKNOWN] = {"rows": len(inside), **measured, "micro_f1_interval": interval}
        if of_language[code] != DEFAULT:
            profile = profiles[of_language[code]]
            own = profile.policies.decide(profile.calibration.apply(calibration.logits(inside.probabilities)))
            found[code]["own_thresholds"] = {
                "macro_f1": macro_f1(inside.truth, own, inside.known),
                "micro_f1": micro_f1(inside.truth, own, inside.known),
            }
    return found
