"""The evaluation report: one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from shared.calibration import Calibration
from shared.thresholds import Policies
from training.callbacks.trends import notes
from training.evaluation import plots
from training.evaluation.scoring import SplitPredictions

CONFUSIONS = 12
LARGEST_MATRIX = 40
"""Labels up to which the confusion matrix of a single-label task is drawn; `metrics.json` holds it in any case."""


@dataclass(frozen=True)
class Scored:
    """A split with its metrics."""

    split: SplitPredictions
    metrics: Mapping[str, Any]


def render_report(
    title: str,
    subtitle: str,
    scored: Sequence[Scored],
    calibration: Calibration,
    policies: Policies,
    *,
    train_support: Mapping[str, int] | None = None,
    history: Sequence[Mapping[str, Any]] = (),
    data_lines: Sequence[str] = (),
    details: Mapping[str, str] | None = None,
) -> str:
    """The report as HTML.

    Args:
        title: heading.
        subtitle: one line below it.
        scored: the splits, in the order of the page.
        calibration: from logits to probabilities.
        policies: thresholds.
        train_support: rows of every label in training.
        history: logged metrics of the training.
        data_lines: what was counted in the data.
        details: further texts by name, folded away.
    """
    template = environment().get_template("report.html.j2")
    return template.render(
        title=title,
        subtitle=subtitle,
        splits=[_describe(item, calibration, policies, train_support or {}) for item in scored],
        curves=_curves(history),
        notes=list(notes(history, finished=True).values()),
        data_lines=list(data_lines),
        details=dict(details or {}),
    )


def _curves(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Title and drawing of everything that was logged in training."""
    if not any("loss" in entry for entry in history):
        return []
    titles = {
        "grad_norm/": "Gradient norms, as applied", "learning_rate": "Learning rate",
        "samples_per_second": "Samples a second", "memory_gb": "Memory (GB)",
    }  # fmt: skip
    drawn = [(title, plots.watched(history, name)) for name, title in titles.items()]
    return [("Loss and macro F1", plots.curves(history)), *((title, svg) for title, svg in drawn if svg)]


def environment() -> Environment:
    """Jinja with our templates; a name that is missing is an error."""
    found = Environment(
        loader=PackageLoader("training.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["number"] = number
    return found


def number(value: float | None) -> str:
    """Four decimals; a dash for a value that does not exist."""
    return "–" if value is None else f"{value:.4f}"


def _describe(
    item: Scored, calibration: Calibration, policies: Policies, train_support: Mapping[str, int]
) -> dict[str, Any]:
    split, metrics = item.split, item.metrics
    intervals = metrics.get("intervals", {})
    probabilities = calibration.apply(split.logits)
    uncalibrated = Calibration.identity(len(policies.labels), calibration.activation).apply(split.logits)
    f1 = {name: row["f1"] for name, row in metrics["per_label"].items() if row["f1"] is not None}
    return {
        "name": split.name,
        "metrics": metrics,
        "fitted_here": split.name == policies.fitted_on,
        "headline": _headline(metrics),
        "probability_rows": _probability_rows(metrics),
        "reliability": plots.reliability(
            split.truth, split.known, {"calibrated": probabilities, "uncalibrated": uncalibrated}
        ),
        "label_rows": _label_rows(metrics, policies, train_support),
        "bars": plots.label_bars(f1, intervals.get("per_label", {})),
        "matrix": _matrix(metrics, policies.labels),
        "confusions": confusions(split, policies.decide(probabilities), policies.labels),
    }


def _headline(metrics: Mapping[str, Any]) -> list[tuple[str, float | None, str]]:
    intervals = metrics.get("intervals", {})
    shown = {
        "macro_f1": "macro F1", "micro_f1": "micro F1", "samples_f1": "samples F1", "macro_ap": "mean AP",
        "brier": "Brier score", "nll": "NLL",
    }  # fmt: skip
    if "accuracy" in metrics:
        shown = {"accuracy": "accuracy", "weighted_f1": "weighted F1", **shown}
    return [(title, metrics[key], _range(intervals.get(key))) for key, title in shown.items()]


def _probability_rows(metrics: Mapping[str, Any]) -> list[tuple[str, Mapping[str, float], bool]]:
    titles = {"uncalibrated": "without temperature", "train_prior": "baseline: train prior"}
    baselines = metrics["baselines"]
    return [("calibrated", metrics, False), *((titles[name], row, True) for name, row in baselines.items())]


def _label_rows(
    metrics: Mapping[str, Any], policies: Policies, train_support: Mapping[str, int]
) -> list[dict[str, Any]]:
    intervals = metrics.get("intervals", {}).get("per_label", {})
    thresholds = dict(zip(policies.labels, policies.get().tolist(), strict=True))
    return [
        {
            "name": name,
            "threshold": thresholds[name],
            "interval": _range(intervals.get(name)),
            "train_support": train_support.get(name),
            **row,
        }
        for name, row in metrics["per_label"].items()
    ]


def _matrix(metrics: Mapping[str, Any], labels: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Rows of the confusion matrix, true label and counts by decided label; empty where there is none to draw."""
    table = metrics.get("confusion_matrix")
    if table is None or len(labels) > LARGEST_MATRIX:
        return []
    return [(name, [table.get(name, {}).get(decided, 0) for decided in labels]) for name in labels]


def _range(interval: Sequence[float] | None) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else ""


def confusions(
    split: SplitPredictions, decisions: NDArray[np.bool_], labels: Sequence[str], limit: int = CONFUSIONS
) -> list[tuple[str, str, int]]:
    """Pairs of a missed label and one decided wrongly in the same row, the most frequent first.

    Args:
        split: labels, shape (N, L).
        decisions: shape (N, L).
        labels: names of the L columns.
        limit: most pairs.
    """
    missed = (split.truth & ~decisions & split.known).astype(np.int64)
    wrong = (~split.truth & decisions & split.known).astype(np.int64)
    table = missed.T @ wrong
    order = np.argsort(-table, axis=None, kind="stable")[:limit]
    pairs = [np.unravel_index(int(place), table.shape) for place in order]
    return [(labels[int(i)], labels[int(j)], int(table[i, j])) for i, j in pairs if table[i, j]]
