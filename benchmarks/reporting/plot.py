"""The report's picture: how many times faster than the stock export everything is, cell by cell."""

from __future__ import annotations

from pathlib import Path

from benchmarks.contenders import stock_onnx
from benchmarks.reporting.results import Results


def write_plot(results: Results, target: Path) -> None:
    """Bars per cell and contender, on a logarithmic axis around 1 = stock fp32, as SVG."""
    from matplotlib.figure import Figure

    names = [name for name in results.entries if name != stock_onnx.FP32]
    cells = list(results.cells)
    figure = Figure(figsize=(max(7.0, 1.2 * len(cells)), 4.5), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / max(1, len(names))
    for place, name in enumerate(names):
        ratios = [results.speedup(cell, stock_onnx.FP32, name) for cell in cells]
        shown = [(index, ratio) for index, ratio in enumerate(ratios) if ratio is not None]
        if not shown:
            continue
        centres = [index + (place - (len(names) - 1) / 2) * width for index, _ in shown]
        heights = [ratio.median for _, ratio in shown]
        errors = [[r.median - r.low for _, r in shown], [r.high - r.median for _, r in shown]]
        axes.bar(
            centres, [height - 1 for height in heights], width, bottom=1, label=name, yerr=errors, error_kw={"lw": 0.7}
        )
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.axhline(1, color="black", lw=0.8)
    axes.set_xticks(range(len(cells)), [str(cell) for cell in cells])
    axes.set_xlabel("batch x tokens")
    axes.set_ylabel(f"times faster than {stock_onnx.FP32}")
    axes.set_title(f"{results.title}, {results.threads} thread(s)")
    if names:
        axes.legend(fontsize="small", ncols=3)
    figure.savefig(target, format="svg")
