"""The report as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.contenders import stock_onnx, training
from benchmarks.contenders.hugging_face import EAGER
from benchmarks.reporting.floors import judge
from benchmarks.reporting.results import Cell, Results
from benchmarks.reporting.table import markdown_table, number
from benchmarks.reporting.verdict import verdict_table
from benchmarks.reporting.work import limit_seconds, training_limit_seconds

PLOT = "report.svg"
_GIGA = 1e9


def render_report(results: Results) -> str:
    """The whole page."""
    parts = [
        f"# Speed of {results.title}",
        _introduction(results),
        "## What is promised",
        verdict_table(judge(results)),
        f"![Speed against the stock export in every cell]({PLOT})",
        "## One call, by batch x tokens",
        "Median milliseconds a call; below it texts a second; then times faster than the stock export in fp32.",
        _latencies(results),
        _throughputs(results),
        _speedups(results, stock_onnx.FP32),
        "## Share of the machine's limit",
        _limits(results),
        _shares(results),
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


def _by_cell(results: Results, value: Any) -> str:
    """A table of contenders by cells; `value(cell, name)` gives the text of an entry."""
    cells = list(results.cells)
    rows = [[name, *[value(cell, name) for cell in cells]] for name in results.entries]
    return markdown_table(["", *map(str, cells)], rows)


def _latencies(results: Results) -> str:
    def value(cell: Cell, name: str) -> str:
        summary = results.summary(cell, name)
        return number(summary.median * 1e3) if summary else "-"

    return _by_cell(results, value)


def _throughputs(results: Results) -> str:
    def value(cell: Cell, name: str) -> str:
        summary = results.summary(cell, name)
        return number(cell.batch / summary.median) if summary else "-"

    return _by_cell(results, value)


def _speedups(results: Results, base: str) -> str:
    if base not in results.entries:
        return ""

    def value(cell: Cell, name: str) -> str:
        ratio = results.speedup(cell, base, name)
        return f"{number(ratio.median)} ({number(ratio.low)}-{number(ratio.high)})" if ratio else "-"

    return _by_cell(results, value)


def _limits(results: Results) -> str:
    rates = results.limits.as_dict()
    rows = [[name.replace("_", ", "), f"{rate / _GIGA:,.0f}"] for name, rate in rates.items()]
    explained = (
        "The limit of a cell is the time for the products it cannot do without (the last layer's for one token a row) "
        "at the best rates below, or for reading the weights once if that takes longer. Products of two activations "
        "count at the rate of fp32 in int8 models too. 100 % would leave no time for anything else: softmax, GELU, "
        "layer norms, quantising."
    )
    return f"{explained}\n\n{markdown_table(['best rate', 'G operations (or bytes) a second'], rows)}"


def _shares(results: Results) -> str:
    def value(cell: Cell, name: str) -> str:
        summary = results.summary(cell, name)
        if summary is None or results.entries[name].precision == "fp16":  # of CUDA, whose limits are not measured
            return "-"
        limit = limit_seconds(results.shape, *cell, results.entries[name].precision, results.limits)
        return f"{100 * limit / summary.median:.0f} %"

    return _by_cell(results, value)


def _training(results: Results) -> str:
    if not results.steps:
        return "Not measured."
    rows = []
    for step, taken in results.steps.items():
        limit = training_limit_seconds(results.training_shape, *step.cell, step.precision, results.limits)
        ratio = results.step_speedup(step, training.STOCK, training.OURS)
        medians = {name: results.step_summary(step, name) for name in taken}
        speeds = [number(step.cell.batch / found.median) if found else "-" for found in medians.values()]
        ours = medians.get(training.OURS)
        rows.append([
            str(step), *speeds,
            f"{number(ratio.median)} ({number(ratio.low)}-{number(ratio.high)})" if ratio else "-",
            f"{100 * limit / ours.median:.0f} %" if ours else "-",
        ])  # fmt: skip
    shape = results.training_shape
    header = [
        "step",
        f"{training.STOCK}, examples/s",
        f"{training.OURS}, examples/s",
        "ratio",
        "ours, share of torch's limit",
    ]
    described = (
        f"Forward, backward, clipping and AdamW of {shape.layers} layers, {shape.width} wide, {shape.vocabulary:,} "
        "token ids; dropout 0.1; the same data for both."
    )
    return f"{described}\n\n{markdown_table(header, rows)}"


def _costs(results: Results) -> str:
    rows = []
    for name, entry in results.entries.items():
        cost = entry.footprint
        rows.append([
            name, number(entry.file_bytes / 2**20), number(cost.import_s) if cost else "-",
            number(cost.load_s) if cost else "-",
            number(cost.idle_mib) if cost else "-", number(cost.peak_mib) if cost else "-",
            f"{entry.difference:.2g}",
        ])  # fmt: skip
    header = [
        "",
        "file, MiB",
        "import, s",
        "load, s",
        "memory idle, MiB",
        "memory at most, MiB",
        f"logits from {EAGER}",
    ]
    explained = (
        "Each in a process of its own: import is of its library, load is from the file to the first logits; memory "
        "includes the libraries, idle is after one small batch, at most is after 8 x 128 tokens."
    )
    return f"{explained}\n\n{markdown_table(header, rows)}"


def _missing(results: Results) -> list[str]:
    if not results.missing:
        return []
    return ["Not run here:", "\n".join(f"* {name}: {reason}" for name, reason in results.missing.items())]


def machine_table(machine: Mapping[str, Any]) -> str:
    """What was found out about the machine."""
    rows = []
    for name, value in machine.items():
        if isinstance(value, dict):
            shown = ", ".join(f"{key} {part}" for key, part in value.items())
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        rows.append([name.replace("_", " "), shown])
    return markdown_table(["", "value"], rows)
