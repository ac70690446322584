"""The report's picture: how many times faster than the stock export everything is, cell by cell."""

from __future__ import annotations

from pathlib import Path

from benchmarks.contenders import hugging_face, ours_onnx, stock_onnx
from benchmarks.reporting.results import Results

COLOURS = {
    hugging_face.EAGER: "#c9c9c9",
    hugging_face.COMPILED: "#a8a8a8",
    hugging_face.FAST: "#9ecae1",
    stock_onnx.INT8: "#636363",
    ours_onnx.FP32: "#4292c6",
    ours_onnx.INT8: "#08519c",
    ours_onnx.FP16: "#08306b",
}
"""Ours in blue, the stock ones in grey; matplotlib chooses for the others."""

OTHERS = ("#fdd0a2", "#fdae6b", "#f16913", "#a63603")


def write_plot(results: Results, target: Path) -> None:
    """Bars per cell and contender, on a logarithmic axis around 1 = stock fp32, as SVG."""
    from matplotlib.figure import Figure

    names = [name for name in results.entries if name != stock_onnx.FP32]
    cells = list(results.cells)
    others = iter(OTHERS * (1 + len(names)))
    colours = {name: COLOURS.get(name) or next(others) for name in names}
    figure = Figure(figsize=(max(8.0, 1.4 * len(cells)), 5), layout="constrained")
    axes = figure.subplots()
    width = 0.84 / max(1, len(names))
    for place, name in enumerate(names):
        ratios = [results.speedup(cell, stock_onnx.FP32, name) for cell in cells]
        shown = [(index, ratio) for index, ratio in enumerate(ratios) if ratio is not None]
        centres = [index + (place - (len(names) - 1) / 2) * width for index, _ in shown]
        heights = [ratio.median - 1 for _, ratio in shown]
        errors = [[r.median - r.low for _, r in shown], [r.high - r.median for _, r in shown]]
        if shown:
            axes.bar(
                centres, heights, width, bottom=1, label=name, color=colours[name], yerr=errors, error_kw={"lw": 0.7}
            )
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.axhline(1, color="black", lw=0.8)
    axes.set_xticks(range(len(cells)), [str(cell) for cell in cells])
    axes.set_xlabel("batch x tokens")
    axes.set_ylabel(f"times faster than {stock_onnx.FP32}")
    threads = f"{results.threads} thread" + ("s" if results.threads > 1 else "")
    axes.set_title(f"{results.title}, {threads}")
    if names:
        figure.legend(loc="outside lower center", fontsize="small", ncols=5)
    figure.savefig(target, format="svg")
