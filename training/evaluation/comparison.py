"""Two or more models on the same rows: whether the difference is more than chance, where it lies, and what it costs.

Shapes: N rows, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, false_discovery_control
from sklearn.metrics import cohen_kappa_score

from shared.errors import DataFormatError
from training.evaluation.measures import Bools, Floats, Predictions, names
from training.evaluation.resampling import LEVEL, Errors, resample
from training.evaluation.scoring import measure

LOWER_IS_BETTER = frozenset({"brier", "nll", "ece_pooled", "ece_classwise", "coverage_error"})
EXAMPLES = 15
"""Rows shown of those that only one of two models gets right."""

LABEL_METRICS = ("f1", "ap")


@dataclass(frozen=True)
class Candidate:
    """A model with what it says of the rows.

    Attributes:
        name: shown everywhere.
        predictions: of the rows, under the model's own calibration and policy.
        cost: size_mb, ms_one_text, texts_per_s, where measured.
        details: anything further to be kept, such as seal and precision.
    """

    name: str
    predictions: Predictions
    cost: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


def compare(
    candidates: Sequence[Candidate], labels: Sequence[str], *, texts: Sequence[str] = (), samples: int, seed: int = 0
) -> dict[str, Any]:
    """Metrics of each candidate, and each but the first against the first, ready for JSON.

    Args:
        candidates: two or more, the first is what the others are compared with.
        labels: names of the L columns.
        texts: of the N rows, for examples; none are shown without.
        samples: bootstrap resamples.
        seed: of the resampling.

    Raises:
        DataFormatError: for fewer than two candidates, or rows that are not the same.
    """
    _check(candidates)
    errors = resample([candidate.predictions for candidate in candidates], samples=samples, seed=seed)
    metrics = [measure(candidate.predictions, labels) for candidate in candidates]
    base, base_metrics = candidates[0], metrics[0]
    return {
        "rows": len(base.predictions), "labels": list(labels), "level": LEVEL, "samples": samples,
        "candidates": [
            {
                "name": candidate.name, **candidate.details, "cost": dict(candidate.cost),
                "metrics": {name: found[name] for name in names(error.values)},
                "intervals": _intervals(found, error),
                "per_label": found["per_label"],
            }
            for candidate, found, error in zip(candidates, metrics, errors, strict=True)
        ],
        "against_first": [
            {
                "name": candidate.name,
                "gains": _gains(base_metrics, found, error.minus(errors[0])),
                "labels": _label_gains(base_metrics, found, error.minus(errors[0]), labels),
                "mcnemar": _mcnemars(base.predictions, candidate.predictions, labels),
                "agreement": _agreement(base.predictions, candidate.predictions),
                "flips": _flips(base.predictions, candidate.predictions, labels, texts),
            }
            for candidate, found, error in zip(candidates[1:], metrics[1:], errors[1:], strict=True)
        ],
    }  # fmt: skip


def _check(candidates: Sequence[Candidate]) -> None:
    if len(candidates) < 2:
        raise DataFormatError(f"a comparison needs two models or more, and got {len(candidates)}.")
    first = candidates[0].predictions
    for candidate in candidates[1:]:
        other = candidate.predictions
        same = first.truth.shape == other.truth.shape and np.array_equal(first.known, other.known)
        if not (same and np.array_equal(first.truth & first.known, other.truth & other.known)):
            raise DataFormatError(
                f"{candidate.name} and {candidates[0].name} were not evaluated on the same rows: "
                f"{other.truth.shape} and {first.truth.shape} rows and labels, or other true labels."
            )


def _intervals(metrics: Mapping[str, Any], errors: Errors) -> dict[str, list[float]]:
    return {
        name: [float(end) for end in errors.interval(name, metrics[name])]
        for name in names(errors.values)
        if metrics[name] is not None
    }


def _gains(base: Mapping[str, Any], other: Mapping[str, Any], errors: Errors) -> dict[str, dict[str, Any]]:
    """Metric -> difference to the first candidate, its paired interval, and `better` (None: may be chance)."""
    rows = {}
    for name in names(errors.values):
        if base[name] is None or other[name] is None:
            continue
        difference = other[name] - base[name]
        low, high = (float(end) for end in errors.interval(name, difference))
        rows[name] = {
            "difference": difference, "interval": [low, high], "p": float(errors.p_value(name, difference)),
            "better": None if low <= 0 <= high else (difference > 0) != (name in LOWER_IS_BETTER),
        }  # fmt: skip
    return rows


def _label_gains(
    base: Mapping[str, Any], other: Mapping[str, Any], errors: Errors, labels: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Label -> gain of F1 and AP with intervals, p, and p corrected for as many looks as there are labels.

    The correction controls the share of false discoveries (Benjamini and Hochberg 1995).
    """
    rows: dict[str, dict[str, Any]] = {name: {} for name in labels}
    for metric in LABEL_METRICS:
        values = [[m["per_label"][name][metric] for name in labels] for m in (base, other)]
        before, after = np.array(values, dtype=np.float64)
        gain = after - before
        low, high = errors.interval(f"label_{metric}", gain)
        p = errors.p_value(f"label_{metric}", gain)
        there = np.flatnonzero(~np.isnan(gain))
        adjusted = np.full(len(labels), np.nan)
        adjusted[there] = false_discovery_control(np.clip(p[there], 0, 1)) if len(there) else []
        for place in there.tolist():
            rows[labels[place]][metric] = {
                "first": float(before[place]), "this": float(after[place]), "gain": float(gain[place]),
                "interval": [float(low[place]), float(high[place])],
                "p": float(p[place]), "p_adjusted": float(adjusted[place]),
            }  # fmt: skip
    return rows


def mcnemar(first_right: Bools, second_right: Bools) -> dict[str, Any]:
    """McNemar's exact test of whether two models are right equally often (McNemar 1947), shape (M,) each.

    Returns:
        `only_first` and `only_second`: where one alone is right; `p`: two-sided binomial probability at 1/2.
    """
    only_first = int((first_right & ~second_right).sum())
    only_second = int((~first_right & second_right).sum())
    discordant = only_first + only_second
    p = 1.0 if discordant == 0 else float(binomtest(only_second, discordant, 0.5).pvalue)
    return {"only_first": only_first, "only_second": only_second, "p": p}


def _mcnemars(first: Predictions, second: Predictions, labels: Sequence[str]) -> dict[str, Any]:
    """Of whole rows (all known labels right), and of each label's decisions with p corrected as for the gains."""
    answered = first.known.any(axis=1)
    right = [_right_rows(rows)[answered] for rows in (first, second)]
    per_label = {
        name: mcnemar(*(_right(rows)[first.known[:, place], place] for rows in (first, second)))
        for place, name in enumerate(labels)
        if first.known[:, place].any()
    }
    adjusted = false_discovery_control([row["p"] for row in per_label.values()]) if per_label else []
    for row, p in zip(per_label.values(), adjusted, strict=True):
        row["p_adjusted"] = float(p)
    return {"rows": mcnemar(*right), "per_label": per_label}


def _right(rows: Predictions) -> Bools:
    """Whether each decision is the truth, shape (N, L)."""
    return np.asarray(rows.truth == rows.decisions)


def _right_rows(rows: Predictions) -> Bools:
    """Whether all known labels of a row are decided rightly, shape (N,)."""
    return np.asarray((_right(rows) | ~rows.known).all(axis=1))


def _agreement(first: Predictions, second: Predictions) -> dict[str, float | None]:
    same = first.decisions == second.decisions
    gap = np.abs(first.probabilities - second.probabilities)
    one, two = first.decisions.ravel(), second.decisions.ravel()
    varied = one.any() and not one.all() and two.any() and not two.all()
    return {
        "decisions": float(same.mean()),
        "rows": float(same.all(axis=1).mean()),
        "kappa": float(cohen_kappa_score(one, two)) if varied else None,  # not defined without both answers
        "mean_probability_difference": float(gap.mean()),
        "largest_probability_difference": float(gap.max()),
    }


def _flips(
    first: Predictions, second: Predictions, labels: Sequence[str], texts: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Rows that one model alone gets right, those with the largest change of loss first."""
    right, also = _right_rows(first), _right_rows(second)
    change = _row_loss(second) - _row_loss(first)
    return {
        "only_this": _examples(np.flatnonzero(~right & also), change, first, second, labels=labels, texts=texts),
        "only_first": _examples(np.flatnonzero(right & ~also), -change, first, second, labels=labels, texts=texts),
    }


def _row_loss(rows: Predictions) -> Floats:
    error = np.where(rows.known, (rows.probabilities - rows.truth) ** 2, 0.0)
    return np.asarray(error.sum(axis=1) / np.maximum(rows.known.sum(axis=1), 1))


def _examples(
    places: NDArray[np.intp],
    order: Floats,
    first: Predictions,
    second: Predictions,
    *,
    labels: Sequence[str],
    texts: Sequence[str],
) -> list[dict[str, Any]]:
    if not len(texts):
        return []

    def listed(row: NDArray[np.bool_]) -> list[str]:
        return [labels[place] for place in np.flatnonzero(row).tolist()]

    return [
        {
            "text": texts[place], "true": listed(first.truth[place]),
            "first": listed(first.decisions[place]), "this": listed(second.decisions[place]),
        }
        for place in places[np.argsort(order[places], kind="stable")][:EXAMPLES]
    ]  # fmt: skip
