"""Put a running service under load and say how it held: latency percentiles, throughput, errors by kind.

Two modes. Open loop (--rate): requests arrive as a Poisson process and do not wait for each other, as users do; latency
is counted from the moment a request was due, so a stall counts for everyone who came during it (no coordinated
omission). Closed loop (--clients): so many clients, each sending its next request when the last is answered; this finds
the throughput at saturation, but its latencies say little: a slow service is asked less often.

For example:
  python -m benchmarks.load --clients 64 --seconds 20
  python -m benchmarks.load --rate 300 --seconds 60 --texts dev.tsv --output /tmp/load
  python -m benchmarks.load --rate 2000 --seconds 30 --header "x-request-timeout-ms: 500"

A load library was looked for and not taken: the Python ones (locust, molotov) are closed loops with a pause, in which
waiting users stop arriving.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.client import Client, Target, check_loopback, read_texts, request_bodies, wait_until_ready
from benchmarks.machine import describe_machine
from benchmarks.rendering import add_values, header, outcome_table, parser, positive_int, positive_number, write_run
from benchmarks.traffic import (
    OK,
    PERCENTILES,
    Records,
    closed_loop,
    digest,
    generator_was_limit,
    open_loop,
    poisson_arrivals,
    run,
)
from shared.cli import is_terminal, run_command

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_POINTS = 5000
"""More would only make the picture's file large."""


@dataclass(frozen=True)
class Load:
    """What to send; `rate_per_s` makes it an open loop, `clients` a closed one."""

    seconds: float
    rate_per_s: float | None = None
    clients: int | None = None
    warmup_s: float = 2.0
    seed: int = 0


async def run_load(target: Target, load: Load, texts: Sequence[str]) -> Records:
    """Warm the service up, and load it."""
    async with Client(target) as client:
        if load.warmup_s > 0:
            bodies = request_bodies(texts, target.texts_per_request, load.seed + 1)
            await _load_once(client, load, load.warmup_s, bodies)
        return await _load_once(client, load, load.seconds, request_bodies(texts, target.texts_per_request, load.seed))


async def _load_once(client: Client, load: Load, seconds: float, bodies: Any) -> Records:
    if load.rate_per_s is not None:
        return await open_loop(client, poisson_arrivals(load.rate_per_s, seconds, load.seed), bodies)
    return await closed_loop(client, load.clients or 1, seconds, bodies)


def summarise_load(records: Records, target: Target, load: Load) -> dict[str, Any]:
    """The JSON object of a run."""
    mode = {"mode": "open", "rate_per_s": load.rate_per_s} if load.rate_per_s else {"mode": "closed"}
    return {
        "benchmark": "load",
        **mode,
        "clients": load.clients,
        "seconds": load.seconds,
        "seed": load.seed,
        "url": target.url,
        "texts_per_request": target.texts_per_request,
        **digest(records, target.texts_per_request),
        "machine": describe_machine(),
    }


def render_load(content: dict[str, Any]) -> str:
    """The run for a person: one row for each outcome."""
    lines = [
        outcome_table(content, [f"p{percent:g}" for percent in PERCENTILES] + ["max"]),
        f"{content['requests']} requests in {content['elapsed_s']:.1f} s; answered well: "
        f"{content['throughput_per_s']:.1f} a second.",
    ]
    if generator_was_limit(content):
        late = content["generator_lag_ms"]["p99"]
        lines.append(f"The load tool itself sent late ({late:.1f} ms at p99): its numbers are not the service's.")
    return "\n\n".join(lines)


def load_figure(records: Records, title: str) -> Figure:
    """Every latency over time, and the curve of percentiles."""
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
    return figure


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


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    command = parser("benchmarks.load", __doc__)
    mode = command.add_mutually_exclusive_group(required=True)
    mode.add_argument("--rate", type=positive_number, help="open loop: requests a second on average")
    mode.add_argument("--clients", type=positive_int, help="closed loop: clients at the same time")
    add_values(
        command,
        ("--seconds", positive_number, 20.0, "time under load"),
        ("--url", str, "http://127.0.0.1:3000", "root of the service"),
        ("--path", str, "/predict", "where texts are posted"),
        ("--texts", Path, None, ".jsonl, .tsv or a text a line (default: the embedded corpus)"),
        ("--texts-per-request", positive_int, 1, "texts in a request"),
        ("--timeout-s", positive_number, 10.0, "give a request up after"),
        ("--warmup-s", positive_number, 2.0, "load that is not counted"),
        ("--wait-s", positive_number, 30.0, "wait for /readyz at most"),
        ("--seed", int, 0, "of arrivals and of the order of texts"),
        ("--output", Path, None, "folder for load.json and load.svg"),
    )
    command.add_argument(
        "--header", type=header, action="append", default=[], help='like "x-api-key: secret"; repeatable'
    )
    command.add_argument("--allow-remote", action="store_true", help="permit an address that is not this machine")
    return command.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parse_arguments(arguments)
    if not options.allow_remote:
        check_loopback(options.url)
    target = Target(options.url, options.path, dict(options.header), options.timeout_s, options.texts_per_request)
    load = Load(options.seconds, options.rate, options.clients, options.warmup_s, options.seed)
    texts = read_texts(options.texts)
    if is_terminal():
        print(f"{len(texts):,} texts; loading {options.url} for {options.seconds:g} s ...", file=sys.stderr)
    wait_until_ready(options.url, options.wait_s)
    records = run(run_load(target, load, texts))
    content = summarise_load(records, target, load)
    if options.output is not None:
        what = f"{load.rate_per_s:g} requests a second" if load.rate_per_s else f"{load.clients} clients"
        write_run(options.output, "load", content, load_figure(records, f"{options.url}, {what}"))
    print(render_load(content))
    print(json.dumps(content))
    return 0


if __name__ == "__main__":
    run_command(main)
