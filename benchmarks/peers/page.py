"""The comparison of servers as Markdown, as a picture and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure.summary import summarise
from benchmarks.peers.comparison import Comparison, judge_serving
from benchmarks.peers.launch import OURS
from benchmarks.reporting.page import machine_table
from benchmarks.reporting.table import markdown_table, number
from benchmarks.reporting.verdict import verdict_table
from shared.files import replacing_folder, write_json

PLOT = "serving.svg"


def render_serving(found: Comparison) -> str:
    """The whole page."""
    parts = [
        f"# The service and its peers, serving {found.bundle}",
        "All servers run at the same time and take turns under load, so a ratio is the median of the quotients within "
        "each round; brackets hold the quartiles. Client and servers share this machine's cores.",
        "## What is promised",
        verdict_table(judge_serving(found)),
        f"![Requests a second]({PLOT})",
        f"## {found.clients} clients",
        _saturation(found),
        "## One client alone",
        f"The bare predictor, in process: {number(summarise(found.predictor_s * 1e3).median)} ms at the median.",
        _alone(found),
        *_load("## A steady load", found.steady),
        *_load("## Far too much", found.overload),
        *(f"Not run: {name}: {reason}" for name, reason in found.missing.items()),
        "## Machine",
        machine_table(found.machine),
    ]
    return "\n\n".join(parts) + "\n"


def _saturation(found: Comparison) -> str:
    rows = []
    ours = median(one.cpu_ms for one in found.saturation[OURS.name]) if OURS.name in found.saturation else None
    for name, rounds in found.saturation.items():
        cpu_ms = median(one.cpu_ms for one in rounds)
        through = found.throughput(name)
        outcomes: dict[str, int] = {}
        for one in rounds:
            for outcome, count in one.content["outcomes"].items():
                outcomes[outcome] = outcomes.get(outcome, 0) + count
        rows.append([
            name, f"{number(through.median)} ({number(through.low)}-{number(through.high)})",
            *(number(median(one.content["latency_ms"].get(p, 0.0) for one in rounds)) for p in ("p50", "p99")),
            number(cpu_ms), number(cpu_ms / ours if ours else None), number(rounds[-1].memory_mib),
            ", ".join(f"{outcome}: {count}" for outcome, count in outcomes.items()),
        ])  # fmt: skip
    header = ["", "requests/s", "p50, ms", "p99, ms", "CPU ms a request", "times ours", "memory, MiB", "outcomes"]
    return markdown_table(header, rows)


def _alone(found: Comparison) -> str:
    rows = [[name, number(found.alone_ms(name)), number(found.overhead_ms(name))] for name in found.alone_s]
    return markdown_table(["", "p50, ms", "over the bare predictor, ms"], rows)


def _load(title: str, content: Any) -> list[str]:
    if not content:
        return []
    times = content["latency_ms_by_outcome"]
    names = ["p50", "p95", "p99", "max"]
    rows = [
        [outcome, str(count), *(number(times[outcome].get(name)) for name in names)]
        for outcome, count in content["outcomes"].items()
    ]
    table = markdown_table(["outcome", "requests", *(f"{name}, ms" for name in names)], rows)
    return [title, f"{content['rate_per_s']:.0f} requests a second, arriving at random.", table]


def serving_json(found: Comparison) -> dict[str, Any]:
    """The run for machines."""
    return {
        "benchmark": "serving",
        "machine": dict(found.machine),
        "bundle": found.bundle,
        "clients": found.clients,
        "promises": [verdict.as_dict() for verdict in judge_serving(found)],
        "saturation": {name: [asdict(one) for one in rounds] for name, rounds in found.saturation.items()},
        "alone_ms": {name: found.alone_ms(name) for name in found.alone_s},
        "overhead_ms": {name: found.overhead_ms(name) for name in found.alone_s},
        "predictor_ms": summarise(found.predictor_s * 1e3).as_dict(),
        "steady": dict(found.steady),
        "overload": dict(found.overload),
        "missing": dict(found.missing),
    }


def write_serving(found: Comparison, target: Path) -> None:
    """Fill `target` with serving.md, serving.svg and serving.json; an older folder of that name is replaced."""
    with replacing_folder(target) as folder:
        (folder / "serving.md").write_text(render_serving(found), encoding="utf-8")
        _write_plot(found, folder / PLOT)
        write_json(folder / "serving.json", serving_json(found))


def _write_plot(found: Comparison, target: Path) -> None:
    from matplotlib.figure import Figure

    names = list(found.saturation)
    through = [found.throughput(name) for name in names]
    figure = Figure(figsize=(8, 0.8 + 0.6 * len(names)), layout="constrained")
    axes = figure.subplots()
    colours = ["#08519c" if name == OURS.name else "#a8a8a8" for name in names]
    bars = axes.barh(names, [one.median for one in through], color=colours)
    axes.bar_label(bars, [number(one.median) for one in through], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(f"requests a second, {found.clients} clients")
    figure.savefig(target, format="svg")
