"""The evaluation report: one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from math import isnan
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from training.callbacks.trends import notes
from training.evaluation import plots
from training.evaluation.sections import Scored, describe


def render_report(
    title: str,
    subtitle: str,
    scored: Sequence[Scored],
    *,
    train_support: Mapping[str, int] | None = None,
    history: Sequence[Mapping[str, Any]] = (),
    data_lines: Sequence[str] = (),
    precisions: Mapping[str, Any] | None = None,
    details: Mapping[str, str] | None = None,
    texts: bool = True,
) -> str:
    """The report as HTML, the splits that nothing was fitted on first.

    Args:
        title: heading.
        subtitle: one line below it.
        scored: the splits.
        train_support: rows of every label in training.
        history: logged metrics of the training.
        data_lines: what was counted in the data.
        precisions: precision -> its metrics, of the bundle's verification.
        details: further texts by name, folded away.
        texts: whether single texts may be shown.
    """
    ordered = sorted(scored, key=lambda item: item.fitted_here)
    return environment().get_template("report.html.j2").render(
        title=title,
        subtitle=subtitle,
        splits=[describe(item, train_support or {}, texts=texts) for item in ordered],
        summary=summary(ordered[0]),
        curves=_curves(history),
        notes=list(notes(history, finished=True).values()),
        data_lines=list(data_lines),
        precisions=dict(precisions or {}),
        details=dict(details or {}),
        texts=texts,
    )  # fmt: skip


def summary(item: Scored) -> list[str]:
    """What the numbers mean, in sentences that need no statistics."""
    rows = item.rows
    hit = int((rows.truth & rows.decisions & rows.known).sum())
    decided, true = int((rows.decisions & rows.known).sum()), int((rows.truth & rows.known).sum())
    f1 = {name: row["f1"] for name, row in item.metrics["per_label"].items() if row["support"]}
    ranked = sorted(f1, key=lambda name: -f1[name])
    said = [f"Measured on {len(rows):,} texts ({item.name})."]
    if decided and true:
        said.append(
            f"Of 100 labels that the model gives, {100 * hit / decided:.0f} are those of the annotators; of 100 labels "
            f"that the annotators gave, it finds {100 * hit / true:.0f}."
        )
    if len(ranked) >= 6:
        said.append(f"It is best at {', '.join(ranked[:3])}, and worst at {', '.join(ranked[-3:])}.")
    for name, row in item.metrics["baselines"].items():
        if name.endswith("prior") and row["nll"]:
            better = 1 - item.metrics["nll"] / row["nll"]
            said.append(
                f"Its probabilities lose {100 * better:.0f} % less (NLL) than giving each label its frequency."
                if better > 0
                else "Its probabilities are no better than giving each label its frequency."
            )
    thin = [
        name for name, row in item.metrics["per_label"].items() if row["support"] is not None and row["support"] < 30
    ]
    if thin:
        said.append(f"Too few texts to be sure of: {', '.join(thin[:10])}{', ...' if len(thin) > 10 else ''}.")
    if item.fitted_here:
        said.append("Thresholds were fitted on these texts, so on new ones expect a little less.")
    return said


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


@cache
def environment() -> Environment:
    """Jinja with our templates, each compiled once; a name that is missing is an error."""
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
    return "–" if value is None or isnan(value) else f"{value:.4f}"
