"""The report as Markdown, as a picture and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import graphs, networks
from benchmarks.machine import limit_seconds, training_limit_seconds
from benchmarks.measure import Summary
from benchmarks.rendering import machine_table, markdown_table, number, spread, verdict_table
from benchmarks.results import Cell, Results, judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {
    networks.EAGER: "#c9c9c9", networks.COMPILED: "#a8a8a8", networks.FAST: "#9ecae1", graphs.STOCK_INT8: "#636363",
    graphs.OURS_FP32: "#4292c6", graphs.OURS_INT8: "#08519c", graphs.OURS_FP16: "#08306b",
    "OpenVINO, stock fp32": "#fdd0a2", "OpenVINO, ours fp32": "#fdae6b", "OpenVINO, stock int8": "#f16913",
    "OpenVINO, ours int8": "#a63603",
}  # fmt: skip
"""Ours in blue, the stock ones in grey."""


def render_report(results: Results) -> str:
    """The whole page."""
    parts = [
        f"# Speed of {results.title}",
        _introduction(results),
        "## What is promised",
        verdict_table(judge(results)),
        "![Speed against the stock export in every cell](report.svg)",
        "## One call, by batch x tokens",
        "Median milliseconds a call; below it texts a second; then times faster than the stock export in fp32.",
        _by_cell(results, lambda cell, _name, taken: number(taken.median * 1e3)),
        _by_cell(results, lambda cell, _name, taken: number(cell.batch / taken.median)),
        _by_cell(results, lambda cell, name, _: spread(results.speedup(cell, graphs.STOCK_FP32, name))),
        "## Share of the machine's limit",
        _limits(results),
        _by_cell(results, lambda cell, name, taken: _share(results, cell, name, taken)),
        "## One training step",
        _training(results),
        "## What each contender costs",
        _costs(results),
        *_missing(results),
        "## Machine",
        machine_table(results.machine),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _introduction(results: Results) -> str:
    shape = results.shape
    return (
        f"{shape.layers} layers, {shape.width} wide, {shape.heads} heads, {shape.vocabulary:,} token ids; threads: "
        f"{results.threads}; {results.clock}. Contenders take turns in one process, so a ratio is the median of the "
        "quotients within each round; brackets hold the quartiles. All compute the same function: the largest "
        "difference of their logits from those of Hugging Face stands in the table of costs."
    )


def _by_cell(results: Results, value: Callable[[Cell, str, Summary], str]) -> str:
    """A table of contenders by cells; `value(cell, name, seconds)` gives the text of an entry that ran."""

    def shown(cell: Cell, name: str) -> str:
        summary = results.summary(cell, name)
        return value(cell, name, summary) if summary else "-"

    cells = list(results.cells)
    rows = [[name, *[shown(cell, name) for cell in cells]] for name in results.entries]
    return markdown_table(["", *map(str, cells)], rows)


def _share(results: Results, cell: Cell, name: str, taken: Summary) -> str:
    precision = results.entries[name].precision
    if precision == "fp16":  # of CUDA, whose limits are not measured
        return "-"
    return f"{100 * limit_seconds(results.shape, *cell, precision, results.limits) / taken.median:.0f} %"


def _limits(results: Results) -> str:
    rates = results.limits.as_dict()
    rows = [[name.replace("_", ", "), f"{rate / 1e9:,.0f}"] for name, rate in rates.items()]
    explained = (
        "The limit of a cell is the time for the products it cannot do without (the last layer's for one token a row) "
        "at the best rates below, or for reading the weights once if that takes longer. Products of two activations "
        "count at the rate of fp32 in int8 models too. 100 % would leave no time for anything else: softmax, GELU, "
        "layer norms, quantising."
    )
    return f"{explained}\n\n{markdown_table(['best rate', 'G operations (or bytes) a second'], rows)}"


def _training(results: Results) -> str:
    if not results.steps:
        return "Not measured."
    rows, shape = [], results.training_shape
    for step, taken in results.steps.items():
        limit = training_limit_seconds(shape, *step.cell, step.precision, results.limits)
        medians = {name: results.step_summary(step, name) for name in taken}
        speeds = [number(step.cell.batch / found.median) if found else "-" for found in medians.values()]
        ours = medians.get(networks.STEP_OURS)
        ratio = spread(results.step_speedup(step, networks.STEP_STOCK, networks.STEP_OURS))
        rows.append([str(step), *speeds, ratio, f"{100 * limit / ours.median:.0f} %" if ours else "-"])
    stock, ours_name = networks.STEP_STOCK, networks.STEP_OURS
    header = ["step", f"{stock}, examples/s", f"{ours_name}, examples/s", "ratio", "ours, share of torch's limit"]
    described = (
        f"Forward, backward, clipping and AdamW of {shape.layers} layers, {shape.width} wide, {shape.vocabulary:,} "
        "token ids; dropout 0.1; the same data for both."
    )
    return f"{described}\n\n{markdown_table(header, rows)}"


def _costs(results: Results) -> str:
    rows = []
    for name, entry in results.entries.items():
        costs = [number(cost) for cost in entry.footprint or (None,) * 4]
        rows.append([name, number(entry.file_bytes / 2**20), *costs, f"{entry.difference:.2g}"])
    header = ["", "file, MiB", "import, s", "load, s", "memory idle, MiB", "memory at most, MiB"]
    explained = (
        "Each in a process of its own: import is of its library, load is from the file to the first logits; memory "
        "includes the libraries, idle is after one small batch, at most is after 8 x 128 tokens."
    )
    return f"{explained}\n\n{markdown_table([*header, f'logits from {networks.EAGER}'], rows)}"


def _missing(results: Results) -> list[str]:
    if not results.missing:
        return []
    return ["Not run here:", "\n".join(f"* {name}: {reason}" for name, reason in results.missing.items())]


def report_figure(results: Results) -> Figure:
    """Bars per cell and contender, on a logarithmic axis around 1 = stock fp32."""
    from matplotlib.figure import Figure

    names = [name for name in results.entries if name != graphs.STOCK_FP32]
    cells = list(results.cells)
    figure = Figure(figsize=(max(8.0, 1.4 * len(cells)), 5), layout="constrained")
    axes = figure.subplots()
    width = 0.84 / max(1, len(names))
    for place, name in enumerate(names):
        ratios = [results.speedup(cell, graphs.STOCK_FP32, name) for cell in cells]
        shown = [(index, ratio) for index, ratio in enumerate(ratios) if ratio is not None]
        centres = [index + (place - (len(names) - 1) / 2) * width for index, _ in shown]
        heights = [ratio.median - 1 for _, ratio in shown]
        errors = [[r.median - r.low for _, r in shown], [r.high - r.median for _, r in shown]]
        if shown:
            axes.bar(
                centres, heights, width, bottom=1, label=name, color=COLOURS[name], yerr=errors, error_kw={"lw": 0.7}
            )
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.axhline(1, color="black", lw=0.8)
    axes.set_xticks(range(len(cells)), [str(cell) for cell in cells])
    axes.set_xlabel("batch x tokens")
    axes.set_ylabel(f"times faster than {graphs.STOCK_FP32}")
    threads = f"{results.threads} thread" + ("s" if results.threads > 1 else "")
    axes.set_title(f"{results.title}, {threads}")
    if names:
        figure.legend(loc="outside lower center", fontsize="small", ncols=5)
    return figure


def as_json(results: Results) -> dict[str, Any]:
    """Everything but the single rounds; cells are keyed as "8 x 32"."""
    return {
        "benchmark": "report",
        "model": asdict(results.shape) | {"title": results.title},
        "threads": results.threads,
        "clock": results.clock,
        "machine": dict(results.machine),
        "limits": results.limits.as_dict(),
        "promises": [verdict.as_dict() for verdict in judge(results)],
        "contenders": {
            name: asdict(entry) | {"footprint": entry.footprint and entry.footprint._asdict()}
            for name, entry in results.entries.items()
        },
        "missing": dict(results.missing),
        "cells": {str(cell): _cell(results, cell) for cell in results.cells},
        "training": {
            str(step): {name: _summary(results.step_summary(step, name)) for name in taken}
            for step, taken in results.steps.items()
        },
        "base_files": dict(results.base_files),
    }


def _cell(results: Results, cell: Cell) -> dict[str, Any]:
    found = {}
    for name in results.cells[cell]:
        summary = results.summary(cell, name)
        limit = limit_seconds(results.shape, cell.batch, cell.length, results.entries[name].precision, results.limits)
        found[name] = _summary(summary) | {"limit_s": limit}
    return found


def _summary(summary: Any) -> dict[str, Any]:
    return {f"{name}_s" if name != "count" else name: value for name, value in summary.as_dict().items()}
