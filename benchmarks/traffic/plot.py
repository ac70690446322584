"""The picture of a run: every latency over time, and the curve of percentiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.traffic.records import OK, Records

MAX_POINTS = 5000
"""More would only make the file large."""


def write_load_plot(records: Records, title: str, target: Path) -> None:
    """Save both as SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    over_time, curve = figure.subplots(1, 2)
    step = max(1, len(records) // MAX_POINTS)
    for outcome in sorted(set(map(str, records.outcome)), key=lambda name: name != OK):
        chosen = np.flatnonzero(records.outcome == outcome)[::step]
        over_time.plot(records.due[chosen], records.latency_s[chosen] * 1e3, ".", ms=3, alpha=0.5, label=outcome)
    over_time.set_xlabel("arrival, s")
    over_time.set_ylabel("latency, ms")
    over_time.set_ylim(bottom=0)
    if len(records):
        over_time.legend(fontsize="small")
    _percentile_curve(curve, records)
    figure.suptitle(title)
    figure.savefig(target, format="svg")


def _percentile_curve(axes: Any, records: Records) -> None:
    """Latency against 1 / (1 - percentile), where tails are wide enough to be read."""
    good = np.sort(records.latency_s[records.outcome == OK]) * 1e3
    if len(good) == 0:
        return
    shares = np.arange(len(good)) / len(good)
    keep = np.unique(np.geomspace(1, len(good), 400).astype(int)) - 1
    keep = len(good) - 1 - keep[::-1]
    axes.plot(1 / (1 - shares[keep]), good[keep])
    axes.set_xscale("log")
    ticks = [n for n in (1, 2, 10, 100, 1000, 10_000) if n <= len(good)]
    axes.set_xticks(ticks, [f"{100 * (1 - 1 / tick):g} %" for tick in ticks])
    axes.set_xlabel("percentile")
    axes.set_ylabel("latency of good answers, ms")
    axes.set_ylim(bottom=0)
