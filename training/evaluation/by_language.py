"""Metrics of every language among some rows, under the shared thresholds and under its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shared.metrics import macro_f1, micro_f1
from shared.profiles import LANGUAGE, Profile
from training.evaluation.measures import Predictions
from training.evaluation.scoring import measure
from training.evaluation.slices import micro_f1_interval

UNKNOWN = "unknown"


def metrics_by_language(
    rows: Predictions, languages: Sequence[str] | None, labels: Sequence[str], profiles: Mapping[str, Profile], *,
    single_label: bool = False,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Code -> metrics, the language with most rows first; nothing for one language without thresholds of its own.

    Where the bundle has thresholds of the language, `own_thresholds` holds the F1 scores under them.

    Args:
        rows: predictions under the shared thresholds.
        languages: of every row.
        labels: names of the columns.
        profiles: those of the bundle.
        single_label: whether a row has exactly one label.
    """
    of_language = {profile.about[LANGUAGE]: profile for profile in profiles.values() if LANGUAGE in profile.about}
    codes = np.asarray(languages or [""] * len(rows), dtype=np.str_)
    names, place, counts = np.unique(codes, return_inverse=True, return_counts=True)
    if len(names) < 2 and not of_language.keys() & set(names.tolist()):
        return {}
    found: dict[str, dict[str, Any]] = {}
    for number in np.argsort(-counts, kind="stable").tolist():
        code, inside = names.tolist()[number], rows.take(np.flatnonzero(place == number))
        y, d = inside.truth & inside.known, inside.decisions & inside.known
        _, interval = micro_f1_interval((y & d).sum(axis=1), y.sum(axis=1) + d.sum(axis=1))
        measured = measure(inside, labels, single_label=single_label)
        found[code or UNKNOWN] = {"rows": len(inside), **measured, "micro_f1_interval": interval}
        if code in of_language:
            own = of_language[code].policies.decide(inside.probabilities)
            found[code]["own_thresholds"] = {
                "macro_f1": macro_f1(inside.truth, own, inside.known),
                "micro_f1": micro_f1(inside.truth, own, inside.known),
            }
    return found
