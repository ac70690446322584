"""Put a running service under load and say how it held: latency percentiles, throughput, errors by kind.

Two modes. Open loop (--rate): requests arrive as a Poisson process and do not wait for each other, as users do; latency
is counted from the moment a request was due, so a stall counts for everyone who came during it (no coordinated
omission). Closed loop (--clients): so many clients, each sending its next request when the last is answered; this finds
the throughput at saturation, but its latencies say little: a slow service is asked less often.

For example:
  python -m benchmarks.load --clients 64 --seconds 20
  python -m benchmarks.load --rate 300 --seconds 60 --texts dev.tsv --output /tmp/load
  python -m benchmarks.load --rate 2000 --seconds 30 --header "x-request-timeout-ms: 500"
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.client import Client, Form, Target, check_loopback, read_texts, request_bodies, wait_until_ready
from benchmarks.machine import describe_machine
from benchmarks.rendering import add_values, outcome_table, parser, positive_number, publish
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
from shared.cli import is_terminal, positive, run_command

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_POINTS = 5000  # more would only make the picture's file large


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

    async def once(seconds: float, seed: int) -> Records:
        bodies = request_bodies(texts, target.texts_per_request, seed)
        if load.rate_per_s is not None:
            return await open_loop(client.send, poisson_arrivals(load.rate_per_s, seconds, load.seed), bodies)
        return await closed_loop(client.send, load.clients or 1, seconds, bodies)

    async with Client(target) as client:
        if load.warmup_s > 0:
            await once(load.warmup_s, load.seed + 1)
        return await once(load.seconds, load.seed)


def summarise_load(records: Records, target: Target, load: Load) -> dict[str, Any]:
    """The JSON object of a run."""
    return {
        "benchmark": "load", "mode": "open" if load.rate_per_s else "closed", "rate_per_s": load.rate_per_s,
        "clients": load.clients, "seconds": load.seconds, "seed": load.seed, "url": target.url,
        "texts_per_request": target.texts_per_request, **digest(records, target.texts_per_request),
        "machine": describe_machine(),
    }  # fmt: skip


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
    """Every latency over time, by outcome."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    step = max(1, len(records) // MAX_POINTS)
    for outcome in sorted(set(map(str, records.outcome)), key=lambda name: name != OK):
        chosen = np.flatnonzero(records.outcome == outcome)[::step]
        axes.plot(records.due[chosen], records.latency_s[chosen] * 1e3, ".", ms=3, alpha=0.5, label=outcome)
    axes.set(xlabel="arrival, s", ylabel="latency, ms", ylim=(0, None), title=title)
    if len(records):
        axes.legend(fontsize="small")
    return figure


def header(text: str) -> tuple[str, str]:
    """An HTTP header given as "name: value"."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f'{text!r} is not a header like "x-api-key: secret"')
    return name.strip(), value.strip()


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    command = parser("benchmarks.load", __doc__)
    mode = command.add_mutually_exclusive_group(required=True)
    mode.add_argument("--rate", type=positive_number, help="open loop: requests a second on average")
    mode.add_argument("--clients", type=positive, help="closed loop: clients at the same time")
    add_values(
        command,
        ("--seconds", positive_number, 20.0, "time under load"),
        ("--url", str, "http://127.0.0.1:3000", "root of the service"),
        ("--path", str, "/predict", "where texts are posted"),
        ("--texts", Path, None, ".jsonl, .tsv or a text a line (default: the embedded corpus)"),
        ("--texts-per-request", positive, 1, "texts in a request"),
        ("--timeout-s", positive_number, 10.0, "give a request up after"),
        ("--warmup-s", positive_number, 2.0, "load that is not counted"),
        ("--wait-s", positive_number, 30.0, "wait for /readyz at most"),
        ("--seed", int, 0, "of arrivals and of the order of texts"),
        ("--output", Path, None, "folder for load.md, load.json and load.svg"),
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
    target = Target(options.url, Form(options.path), dict(options.header), options.timeout_s, options.texts_per_request)
    load = Load(options.seconds, options.rate, options.clients, options.warmup_s, options.seed)
    texts = read_texts(options.texts)
    if is_terminal():
        print(f"{len(texts):,} texts; loading {options.url} for {options.seconds:g} s ...", file=sys.stderr)
    wait_until_ready(options.url, options.wait_s)
    records = run(run_load(target, load, texts))
    content = summarise_load(records, target, load)
    publish(options.output, "load", content, render_load(content), lambda: load_figure(records, options.url))
    return 0


if __name__ == "__main__":
    run_command(main)
