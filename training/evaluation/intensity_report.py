"""The report of a model of intensities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.evaluation import plots
from training.evaluation.intensity_scoring import ScoredIntensities
from training.evaluation.report import environment

TITLES = {
    "pearson": "Pearson", "pearson_some": "Pearson, some emotion", "spearman": "Spearman",
    "spearman_some": "Spearman, some emotion", "level_pearson": "Pearson of levels",
    "level_pearson_some": "Pearson of levels, some emotion", "kappa": "quadratic kappa",
    "kappa_some": "quadratic kappa, some emotion", "level_accuracy": "level right", "mae": "mean absolute error",
    "rmse": "root mean square error", "coverage": "in the interval", "interval_width": "width of the interval",
}  # fmt: skip
"""Metric -> what it is called for people; those of levels are there for ordinal scales alone."""

DRAWN_ROWS = 2000


def render_intensity_report(
    title: str,
    subtitle: str,
    scored: Sequence[ScoredIntensities],
    *,
    data_lines: Sequence[str] = (),
    details: Mapping[str, str] | None = None,
) -> str:
    """The report as HTML, the splits that nothing was fitted on first.

    Args:
        title: heading.
        subtitle: one line below it.
        scored: the splits.
        data_lines: what was counted in the data.
        details: further texts by name, folded away.
    """
    ordered = sorted(scored, key=lambda item: item.fitted_here)
    return environment().get_template("intensity.html.j2").render(
        title=title, subtitle=subtitle, data_lines=list(data_lines), details=dict(details or {}),
        splits=[_described(item) for item in ordered],
    )  # fmt: skip


def _described(item: ScoredIntensities) -> dict[str, Any]:
    metrics = item.metrics
    columns = {key: title for key, title in TITLES.items() if key in metrics}
    return {
        "name": item.name, "metrics": metrics, "fitted_here": item.fitted_here, "columns": columns,
        "interval": (metrics.get("intervals") or {}).get("pearson"), "drawings": list(_drawings(item)),
    }  # fmt: skip


def _drawings(item: ScoredIntensities) -> list[tuple[str, str]]:
    """Label and scatter plot of predicted against annotated intensities, of the labels that are annotated."""
    found = []
    for place, name in enumerate(item.labels):
        rows = np.flatnonzero(item.corpus.known[:, place])
        if not len(rows):
            continue
        rows = rows[:: max(1, len(rows) // DRAWN_ROWS)]
        scale = item.metrics["scale"]
        found.append(
            (name, plots.scatter(item.gold[rows, place], item.found[rows, place], (scale["low"], scale["high"])))
        )
    return found
