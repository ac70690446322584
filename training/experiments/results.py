"""What an experiment leaves: one table as JSON, CSV and text, and one plot."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from shared.files import replacing_file, write_json
from training.config.evaluate import CompareOptions, EvalConfig
from training.evaluation.compare_bundles import as_text as comparison_text
from training.evaluation.compare_bundles import compare_bundles
from training.experiments.trials import Outcome

Row = Mapping[str, Any]


def row_of(outcome: Outcome, **further: Any) -> dict[str, Any]:
    """The metrics of a run as one row of the table."""
    splits = {split: outcome.compared(split) for split in outcome.metrics}
    metrics = {f"{split}_{name}": value for split, found in splits.items() for name, value in found.items()}
    return {"run": outcome.name, **further, **metrics, "bundle": str(outcome.bundle)}


def write_results(folder: Path, rows: Sequence[Row], *, lines: Sequence[str] = (), **further: Any) -> str:
    """Write `results.json`, `results.csv` and `results.txt`; the text is returned.

    Args:
        folder: of the experiment.
        rows: of the table; a row may lack columns.
        lines: said below the table.
        further: values beside the rows in the JSON file.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    write_json(folder / "results.json", {"rows": [dict(row) for row in rows], **further})
    with replacing_file(folder / "results.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    text = "\n".join([as_text(rows, [name for name in columns if name != "bundle"]), *lines]) + "\n"
    with replacing_file(folder / "results.txt") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return text


def write_comparison(folder: Path, outcomes: Sequence[Outcome]) -> list[str]:
    """Compare the runs with the first of them on the dev rows they share, and say the result in lines.

    What is compared are the logits kept in the bundles, so that it takes seconds; `comparison/` holds report and JSON.
    No lines for a single run.
    """
    if len(outcomes) < 2:
        return []
    options = comparison_options(folder, outcomes[0].config.eval)
    words = [str(outcome.config.run_dir) for outcome in outcomes]
    return ["", "Each run against the first, on the same dev rows (95 % paired bootstrap intervals)",
            comparison_text(compare_bundles(words, options)).rstrip()]  # fmt: skip


def comparison_options(folder: Path, evaluation: EvalConfig) -> CompareOptions:
    """Options of the comparison of an experiment's runs, as their configuration has them; a gain has an interval."""
    return CompareOptions(
        output=str(folder / "comparison"), timing=False, show_texts=evaluation.show_texts,
        bootstrap_samples=max(1, evaluation.bootstrap_samples),
    )  # fmt: skip


def as_text(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """The rows as an aligned table."""
    cells = [list(columns), *([_cell(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in cells)
    return "\n".join("  ".join(line).rstrip() for line in padded)


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def write_plot(
    folder: Path, values: Mapping[str, float], *, label: str, intervals: Mapping[str, Sequence[float]] | None = None
) -> None:
    """Write `results.svg`: one dot a run, with its interval where there is one, the best on top.

    Args:
        folder: of the experiment.
        values: run -> metric.
        label: what the metric is.
        intervals: run -> lowest and highest value.
    """
    names = sorted(values, key=lambda name: values[name])
    width = max(7.0, 4.0 + 0.09 * max(map(len, names), default=0))  # inches; a name of long paths leaves room
    figure = Figure(figsize=(width, 1.2 + 0.3 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    for row, name in enumerate(names):
        if intervals and name in intervals:
            axes.plot(list(intervals[name]), [row, row], color="#64748b", linewidth=1.5)
        axes.plot(values[name], row, marker="o", color="#3b82f6")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel=label)
    axes.grid(axis="x", alpha=0.2)
    with replacing_file(folder / "results.svg") as temporary:
        FigureCanvasSVG(figure).print_svg(str(temporary), metadata={"Date": None})  # type: ignore[no-untyped-call]
