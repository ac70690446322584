"""Figures of the report as inline SVG: text and axes take the colour of the page, so they suit light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from shared.drift import SHIFTED

_INK = "#010203"
"""Drawn in this colour, then replaced by the colour of the page's text."""
_COLOURS = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444")
_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "emotion", "font.family": "sans-serif", "font.size": 10,
    "text.color": _INK, "axes.edgecolor": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.15, "grid.color": _INK,
    "axes.facecolor": "none", "figure.facecolor": "none", "legend.frameon": False,
}  # fmt: skip


def reliability(
    truth: NDArray[np.bool_], known: NDArray[np.bool_], probabilities: Mapping[str, NDArray[np.float64]], bins: int = 15
) -> str:
    """How often a label is there when a probability is given, over equal-width bins.

    Args:
        truth: shape (N, L).
        known: annotated entries, shape (N, L).
        probabilities: name -> shape (N, L).
        bins: number of bins over 0..1.
    """

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], linestyle=":", color=_INK, linewidth=1)
        for (name, matrix), colour in zip(probabilities.items(), _COLOURS, strict=False):
            p, y = matrix[known], truth[known]
            position = np.minimum((p * bins).astype(int), bins - 1)
            weight = np.bincount(position, minlength=bins)
            filled = weight > 0
            confidence = np.bincount(position, weights=p, minlength=bins)[filled] / weight[filled]
            frequency = np.bincount(position, weights=y, minlength=bins)[filled] / weight[filled]
            axes.plot(confidence, frequency, marker="o", markersize=4, color=colour, label=name)
        axes.set(xlabel="probability given", ylabel="share of rows with the label", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="upper left")

    return _svg(draw, width=5.0, height=4.2)


def curves(history: Sequence[Mapping[str, Any]]) -> str:
    """Loss in training and on dev, and macro F1 on dev, over the steps."""

    def series(name: str) -> tuple[list[float], list[float]]:
        entries = [entry for entry in history if name in entry]
        return [entry["step"] for entry in entries], [entry[name] for entry in entries]

    def draw(axes: Axes) -> None:
        axes.plot(*series("loss"), color=_COLOURS[0], linewidth=1, label="train loss")
        axes.plot(*series("eval_loss"), color=_COLOURS[1], marker="o", markersize=4, label="dev loss")
        axes.set(xlabel="optimiser step", ylabel="loss")
        right = axes.twinx()
        right.spines["right"].set_visible(True)
        right.grid(visible=False)
        right.plot(*series("eval_macro_f1"), color=_COLOURS[2], marker="s", markersize=4, label="dev macro F1")
        right.set(ylabel="macro F1", ylim=(0, 1))
        lines = [*axes.get_lines(), *right.get_lines()]
        axes.legend(lines, [str(line.get_label()) for line in lines], loc="center right")

    return _svg(draw, width=7.0, height=3.6)


def watched(history: Sequence[Mapping[str, Any]], prefix: str) -> str:
    """Figures whose names begin with `prefix` over the steps; "" when there are none."""
    names = sorted({name for entry in history for name in entry if name.startswith(prefix)}, key=_by_number)
    if not names:
        return ""

    def draw(axes: Axes) -> None:
        shades = mpl.colormaps["viridis"](np.linspace(0.1, 0.9, len(names)))
        for name, shade in zip(names, shades, strict=True):
            entries = [entry for entry in history if entry.get(name)]
            steps, values = [entry["step"] for entry in entries], [entry[name] for entry in entries]
            label = name.rsplit("/", 1)[-1].replace("_", " ")
            axes.plot(steps, values, color=shade, linewidth=1, marker="." if len(steps) < 3 else None, label=label)
        axes.set(xlabel="optimiser step", ylabel=prefix.rstrip("/").replace("_", " "))
        if prefix == "grad_norm/":
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)

    return _svg(draw, width=7.0, height=max(2.6, 0.22 * len(names)))


def months(over_time: Mapping[str, Any]) -> str:
    """F1 of every month, and how far each month is from the bundle's reference rows; dashed where something changed.

    Args:
        over_time: `periods` and `changes` as `drift_over_periods` gives them; with `metrics`, those are drawn too.
    """
    rows = over_time["periods"]
    names = [row["period"] for row in rows]
    places = np.arange(len(names))

    def scores(axes: Axes) -> None:
        for metric, colour in zip(("macro_f1", "micro_f1"), _COLOURS, strict=False):
            values = [np.nan if row[metric] is None else row[metric] for row in over_time["metrics"]]
            axes.plot(places, values, color=colour, marker="o", markersize=4, label=metric.replace("_f1", " F1"))
        axes.set(ylabel="F1", ylim=(0, 1))

    def distances(axes: Axes) -> None:
        for name, colour in zip(rows[0]["against_reference"], _COLOURS, strict=False):
            values = [row["against_reference"][name] for row in rows]
            axes.plot(places, values, color=colour, marker="o", markersize=4, label=name)
        axes.axhline(SHIFTED, linestyle=":", color=_INK, linewidth=1)
        for since in {change["since"] for change in over_time["changes"].values() if change}:
            axes.axvline(names.index(since) - 0.5, linestyle="--", color=_INK, linewidth=1)
        axes.set(ylabel="stability index")
        axes.set_ylim(bottom=0)

    drawings = [scores, distances] if "metrics" in over_time else [distances]

    def draw(figure: Figure) -> None:
        for axes, drawing in zip(
            figure.subplots(len(drawings), 1, sharex=True, squeeze=False)[:, 0], drawings, strict=True
        ):
            drawing(axes)
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
            axes.set_xticks(places, names, rotation=60, ha="right", fontsize=8)

    return _svg_figure(draw, width=8.0, height=1.0 + 1.9 * len(drawings))


def deletion(found: Mapping[str, Any]) -> str:
    """How far a label's logit falls over the share of the words taken out, as `faithfulness` gives it."""

    def draw(axes: Axes) -> None:
        shares = [0.0, *found["shares"]]
        for name, title, colour in zip(
            ("by_reasons", "at_random"), ("reasons first", "at random"), _COLOURS, strict=False
        ):
            axes.plot(shares, [0.0, *found[name]], color=colour, marker="o", markersize=4, label=title)
        axes.set(xlabel="share of the words taken out", ylabel="fall of the logit", xlim=(0, None))
        axes.legend()

    return _svg(draw, width=4.8, height=3.0)


def rate_range(
    rates: NDArray[np.float64], losses: NDArray[np.float64], smoothed: NDArray[np.float64], suggestion: float | None
) -> str:
    """Loss over a rising learning rate as a file of its own, the suggestion marked.

    Args:
        rates: shape (S,).
        losses: shape (S,).
        smoothed: shape (S,).
        suggestion: a rate, None for no mark.
    """

    def draw(axes: Axes) -> None:
        axes.plot(rates, losses, color=_COLOURS[0], alpha=0.3, linewidth=1, label="loss of each batch")
        axes.plot(rates, smoothed, color=_COLOURS[0], label="smoothed")
        if suggestion is not None:
            axes.axvline(suggestion, color=_COLOURS[1], linestyle="--", label=f"falls fastest: {suggestion:.1e}")
        axes.set(xlabel="learning rate", ylabel="loss", xscale="log")
        axes.legend()

    return _svg(draw, width=7.0, height=3.6)


def _by_number(name: str) -> list[str]:
    return [part.zfill(4) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def label_bars(scores: Mapping[str, float], intervals: Mapping[str, Sequence[float]]) -> str:
    """F1 of every label, the best first, with its interval where there is one."""
    order = sorted(scores, key=lambda name: scores[name])

    def draw(axes: Axes) -> None:
        values = [scores[name] for name in order]
        axes.barh(order, values, color=_COLOURS[0], alpha=0.75)
        for row, name in enumerate(order):
            if name in intervals:
                axes.plot(intervals[name], [row, row], color=_INK, linewidth=1)
        axes.set(xlabel="F1", xlim=(0, 1))
        axes.grid(axis="y", visible=False)
        axes.margins(y=0.01)

    return _svg(draw, width=7.0, height=0.8 + 0.22 * len(order))


def scatter(gold: NDArray[np.float64], found: NDArray[np.float64], ends: tuple[float, float]) -> str:
    """Predicted against annotated intensities.

    Args:
        gold: annotated, shape (N,).
        found: predicted, shape (N,).
        ends: of the scale.
    """

    def draw(axes: Axes) -> None:
        axes.plot(ends, ends, linestyle=":", color=_INK, linewidth=1)
        axes.plot(gold, found, linestyle="", marker="o", markersize=3, alpha=0.35, color=_COLOURS[0])
        axes.set(xlabel="annotated", ylabel="predicted", xlim=ends, ylim=ends)

    return _svg(draw, width=4.2, height=3.6)


def _svg(draw: Any, *, width: float, height: float) -> str:
    """The drawing as an SVG element without a document around it."""
    return _svg_figure(lambda figure: draw(figure.add_subplot()), width=width, height=height)


def _svg_figure(draw: Callable[[Figure], None], *, width: float, height: float) -> str:
    """The drawing of one or several axes as an SVG element without a document around it."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    content = buffer.getvalue()
    content = re.sub(r"<metadata>.*?</metadata>", "", content[content.index("<svg") :], flags=re.DOTALL)
    return content.replace(_INK, "currentColor")
