"""Whether the same sentence gets another answer when another person stands in it, and whether groups fare alike.

Shapes: N sentences, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, ttest_1samp

from shared.errors import DataFormatError
from shared.metrics import brier, macro_f1, micro_f1
from training.audit.identities import Variant
from training.evaluation.measures import Bools, Floats, Predictions, number_or_none

TOLERATED_GAP = 0.02
"""Mean difference of a probability between groups below which nothing is flagged."""

SIGNIFICANCE = 0.01
"""Corrected p below which a gap is more than chance."""

FEWEST_SETS = 5
FEWEST_ROWS = 30
"""Rows of a group below which its metrics are not compared."""


def counterfactual_gaps(
    variants: Sequence[Variant], probabilities: Floats, decisions: Bools, labels: Sequence[str]
) -> dict[str, Any]:
    """Category -> groups with their gaps, flips and worst sentence, ready for JSON.

    Within each set of sentences that differ in the person alone, a group's gap is the mean probability with its persons
    minus the mean of all groups. Flagged is a label whose mean gap over the sets exceeds `TOLERATED_GAP` and is more
    than chance: a t-test over the sets, corrected for all groups and labels of the category (Benjamini and Hochberg
    1995).

    Args:
        variants: N sentences.
        probabilities: shape (N, L).
        decisions: shape (N, L).
        labels: names of the L columns.

    Raises:
        DataFormatError: when no set of a category has all of its groups.
    """
    categories = list(dict.fromkeys(variant.category for variant in variants))
    return {
        name: _category(
            name, [place for place, variant in enumerate(variants) if variant.category == name],
            variants, probabilities, decisions, labels=labels,
        )
        for name in categories
    }  # fmt: skip


def _category(
    name: str,
    places: Sequence[int],
    variants: Sequence[Variant],
    probabilities: Floats,
    decisions: Bools,
    *,
    labels: Sequence[str],
) -> dict[str, Any]:
    groups = list(dict.fromkeys(variants[place].group for place in places))
    sets: dict[str, dict[str, list[int]]] = {}
    for place in places:
        sets.setdefault(variants[place].key, {}).setdefault(variants[place].group, []).append(place)
    whole = [found for found in sets.values() if len(found) == len(groups)]
    if not whole:
        raise DataFormatError(
            f"no sentence of '{name}' is there for all of its groups ({', '.join(groups)}): {len(sets)} sets "
            "that differ in the person alone, each with some of the groups.",
            hint="Give one or more sentences of a set for every group.",
        )
    means = np.array([[probabilities[found[group]].mean(axis=0) for group in groups] for found in whole])
    gaps = means - means.mean(axis=1, keepdims=True)  # sets, groups, labels
    mean = gaps.mean(axis=0)
    p = _corrected(gaps)
    flips = [decisions[[place for part in found.values() for place in part]] for found in whole]
    flipped = np.array([rows.any(axis=0) & ~rows.all(axis=0) for rows in flips])
    shown = {}
    for row, group in enumerate(groups):
        order = np.argsort(-np.abs(mean[row]))
        shown[group] = {
            "labels": {
                labels[column]: {
                    "mean_gap": float(mean[row, column]), "worst_gap": _worst(gaps[:, row, column]),
                    "p_adjusted": float(p[row, column]),
                }
                for column in order[:5]
            },
            "flagged": [
                labels[column] for column in order
                if abs(mean[row, column]) > TOLERATED_GAP and p[row, column] < SIGNIFICANCE
            ],
        }  # fmt: skip
    largest = np.unravel_index(int(np.abs(gaps).argmax()), gaps.shape)
    return {
        "sentences": len(places), "sets": len(whole), "groups": shown,
        "mean_absolute_gap": float(np.abs(gaps).mean()),
        "sets_with_a_flip": float(flipped.any(axis=1).mean()),
        "flips_by_label": {
            labels[column]: float(flipped[:, column].mean())
            for column in np.argsort(-flipped.mean(axis=0))[:5] if flipped[:, column].any()
        },
        "worst": {
            "text": variants[whole[largest[0]][groups[largest[1]]][0]].text, "group": groups[largest[1]],
            "label": labels[int(largest[2])], "gap": float(gaps[largest]),
        },
        "flagged": [f"{group}: {label}" for group, row in shown.items() for label in row["flagged"]],
    }  # fmt: skip


def _worst(gaps: Floats) -> float:
    return float(gaps[np.abs(gaps).argmax()])


def _corrected(gaps: Floats) -> Floats:
    """P of "the mean gap is 0" for every group and label, corrected for all of them, shape (groups, L)."""
    if len(gaps) < FEWEST_SETS:
        return np.ones(gaps.shape[1:])
    p = np.ones(gaps.shape[1:])
    varied = gaps.std(axis=0) > 1e-12
    if varied.any():
        p[varied] = ttest_1samp(gaps[:, varied], 0.0, axis=0).pvalue
    return np.asarray(false_discovery_control(p.ravel()).reshape(p.shape))


def group_metrics(rows: Predictions, groups: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Metrics of each group of rows and the differences between groups, by fairlearn's MetricFrame.

    Args:
        rows: predictions for N rows.
        groups: of each row.
        labels: names of the L columns.

    Returns:
        Overall, by group, largest difference; and per label the differences of selection rate, true and false positive
        rate. Groups below `FEWEST_ROWS` rows are named and left out. A metric is None for a group whose rows annotate
        no label, which the differences then leave out.
    """
    names, counts = np.unique(np.asarray(groups, dtype=object).astype(str), return_counts=True)
    small = [str(name) for name, count in zip(names, counts, strict=True) if count < FEWEST_ROWS]
    kept = np.flatnonzero(~np.isin(np.asarray(groups, dtype=str), small))
    if not len(kept):
        return {"left_out": small, "groups": {}}
    from fairlearn.metrics import MetricFrame  # noqa: PLC0415  (training without groups needs it not)

    chosen, within = rows.take(kept), np.asarray(groups, dtype=str)[kept]
    places = np.arange(len(kept))
    frame = MetricFrame(metrics=_row_metrics(chosen), y_true=places, y_pred=places, sensitive_features=within)
    return {
        "left_out": small,
        "rows": {str(name): int(count) for name, count in zip(names, counts, strict=True) if str(name) not in small},
        "overall": {name: number_or_none(value) for name, value in frame.overall.items()},
        "groups": {
            str(group): {k: number_or_none(v) for k, v in row.items()} for group, row in frame.by_group.iterrows()
        },
        "difference": {name: number_or_none(value) for name, value in frame.difference().items()},
        "labels": _label_differences(chosen, within, labels),
    }  # fmt: skip


def _row_metrics(rows: Predictions) -> Mapping[str, Any]:
    """Metrics as functions of row numbers, which is what MetricFrame hands them for each group."""

    def on(measure: Any, other: NDArray[Any]) -> Any:
        def of(places: NDArray[np.intp], _: Any) -> float:
            known = rows.known[places]
            return float(measure(rows.truth[places], other[places], known)) if known.any() else float("nan")

        return of

    return {
        "macro_f1": on(macro_f1, rows.decisions), "micro_f1": on(micro_f1, rows.decisions),
        "brier": on(brier, rows.probabilities), "labels_a_row": lambda places, _: rows.decisions[places].sum(1).mean(),
    }  # fmt: skip


def _label_differences(rows: Predictions, groups: NDArray[Any], labels: Sequence[str]) -> dict[str, Any]:
    from fairlearn.metrics import (  # noqa: PLC0415  (see above)
        MetricFrame,
        false_positive_rate,
        selection_rate,
        true_positive_rate,
    )  # fmt: skip

    rates = {"selection_rate": selection_rate, "true_positive_rate": true_positive_rate,
             "false_positive_rate": false_positive_rate}  # fmt: skip
    found = {}
    for place, name in enumerate(labels):
        known = rows.known[:, place]
        y, d = rows.truth[known, place].astype(int), rows.decisions[known, place].astype(int)
        if len(np.unique(y)) < 2 or len(np.unique(groups[known])) < 2:
            continue
        frame = MetricFrame(metrics=rates, y_true=y, y_pred=d, sensitive_features=groups[known])
        found[name] = {key: float(value) for key, value in frame.difference().items()}
    return found
