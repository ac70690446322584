"""The report as Markdown, as a picture and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.contenders import graphs, networks
from benchmarks.measure import Summary
from benchmarks.rendering import machine_table, markdown_table, number, spread, verdict_table
from benchmarks.results import Cell, Results, judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render_report(results: Results) -> str:
    """The whole page."""
    parts = [
        f"# Speed of {results.title}",
        f"Threads: {results.threads}; {results.clock}. Contenders take turns in one process, so a ratio is the median "
        "of the quotients within each round; brackets hold the quartiles. All compute the same function: the largest "
        "difference of their logits from those of Hugging Face stands in the table of costs.",
        "## What is promised",
        verdict_table(judge(results)),
        "![Speed against the stock export in every cell](report.svg)",
        "## One call, by batch x tokens",
        "Median milliseconds a call; below it texts a second; then times faster than the stock export in fp32.",
        _by_cell(results, lambda cell, _name, taken: number(taken.median * 1e3)),
        _by_cell(results, lambda cell, _name, taken: number(cell.batch / taken.median)),
        _by_cell(results, lambda cell, name, _: spread(results.speedup(cell, graphs.STOCK_FP32, name))),
        "## One training step",
        _training(results),
        "## What each contender costs",
        _costs(results),
        "Not run here:" if results.missing else "",
        "\n".join(f"* {name}: {reason}" for name, reason in results.missing.items()),
        "## Machine",
        machine_table(results.machine),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _by_cell(results: Results, value: Callable[[Cell, str, Summary], str]) -> str:
    """A table of contenders by cells; `value(cell, name, seconds)` gives the text of an entry that ran."""

    def shown(cell: Cell, name: str) -> str:
        summary = results.summary(cell, name)
        return value(cell, name, summary) if summary else "-"

    cells = list(results.cells)
    rows = [[name, *[shown(cell, name) for cell in cells]] for name in results.entries]
    return markdown_table(["", *map(str, cells)], rows)


def _training(results: Results) -> str:
    if not results.steps:
        return "Not measured."
    stock, ours = networks.STEP_STOCK, networks.STEP_OURS
    rows = []
    for step in results.steps:
        medians = [results.summary(step, name) for name in (stock, ours)]
        speeds = [number(step.cell.batch / found.median) if found else "-" for found in medians]
        rows.append([str(step), *speeds, spread(results.speedup(step, stock, ours))])
    table = markdown_table(["step", f"{stock}, examples/s", f"{ours}, examples/s", "ratio"], rows)
    described = "Forward, backward, clipping and AdamW; dropout 0.1; the same data for both; the network is"
    return f"{described} {results.training_title}.\n\n{table}"


def _costs(results: Results) -> str:
    rows = []
    for name, entry in results.entries.items():
        costs = [number(cost) for cost in entry.footprint or (None,) * 4]
        rows.append([name, number(entry.file_bytes / 2**20), *costs, f"{entry.difference:.2g}"])
    header = ["", "file, MiB", "import, s", "load, s", "memory, MiB", "after 8 x 128, MiB"]
    explained = (
        "Each in a process of its own: import is of its library, load is from the file to the first logits; memory "
        "includes the libraries, and is that after one small batch and after 8 x 128 tokens."
    )
    return f"{explained}\n\n{markdown_table([*header, f'logits from {networks.EAGER}'], rows)}"


def report_figure(results: Results) -> Figure:
    """Bars per cell and contender, on a logarithmic axis around 1 = stock fp32."""
    from matplotlib.figure import Figure

    names = [name for name in results.entries if name != graphs.STOCK_FP32]
    cells = list(results.cells)
    figure = Figure(figsize=(max(8.0, 1.4 * len(cells)), 5), layout="constrained")
    axes = figure.subplots()
    width = 0.84 / max(1, len(names))
    for place, name in enumerate(names):
        found = {index: results.speedup(cell, graphs.STOCK_FP32, name) for index, cell in enumerate(cells)}
        ran = {index + (place - (len(names) - 1) / 2) * width: ratio for index, ratio in found.items() if ratio}
        heights = [ratio.median - 1 for ratio in ran.values()]
        errors = np.array([(ratio.median - ratio.low, ratio.high - ratio.median) for ratio in ran.values()]).T
        if ran:
            axes.bar(list(ran), heights, width, bottom=1, label=name, yerr=errors)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.axhline(1, color="black", lw=0.8)
    axes.set_xticks(range(len(cells)), [str(cell) for cell in cells])
    axes.set_xlabel("batch x tokens")
    axes.set_ylabel(f"times faster than {graphs.STOCK_FP32}")
    axes.set_title(f"{results.title}, threads: {results.threads}", fontsize="medium")
    if axes.containers:  # nothing to name where the stock export did not run
        figure.legend(loc="outside lower center", fontsize="small", ncols=5)
    return figure


def as_json(results: Results) -> dict[str, Any]:
    """Everything but the single rounds; cells are keyed as "8 x 32"."""
    return {
        "benchmark": "report",
        "model": results.title,
        "threads": results.threads,
        "clock": results.clock,
        "machine": dict(results.machine),
        "promises": [verdict.as_dict() for verdict in judge(results)],
        "contenders": {
            name: asdict(entry) | {"footprint": entry.footprint and entry.footprint._asdict()}
            for name, entry in results.entries.items()
        },
        "missing": dict(results.missing),
        "cells": _summaries(results, results.cells),
        "training": _summaries(results, results.steps),
        "base_files": dict(results.base_files),
    }


def _summaries(results: Results, races: Mapping[Any, Iterable[str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for where, names in races.items():
        found[str(where)] = {}
        for name in names:
            values = asdict(results.summary(where, name))  # type: ignore[arg-type]  # it ran
            found[str(where)][name] = {key if key == "count" else f"{key}_s": value for key, value in values.items()}
    return found
