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
from typing import Any

from benchmarks.arguments import header, positive_int, positive_number
from benchmarks.measure.machine import describe_machine
from benchmarks.reporting.table import markdown_table, number
from benchmarks.traffic.arrivals import poisson_arrivals
from benchmarks.traffic.client import Client, Target, check_loopback
from benchmarks.traffic.digest import PERCENTILES, digest, generator_was_limit
from benchmarks.traffic.event_loop import run
from benchmarks.traffic.loops import closed_loop, open_loop
from benchmarks.traffic.plot import write_load_plot
from benchmarks.traffic.records import Records
from benchmarks.traffic.texts import read_texts, request_bodies
from shared.cli import is_terminal, run_command
from shared.files import replacing_folder, write_json


@dataclass(frozen=True)
class Load:
    """What to send; `rate_per_s` makes it an open loop, `clients` a closed one."""

    seconds: float
    rate_per_s: float | None = None
    clients: int | None = None
    warmup_s: float = 2.0
    wait_s: float = 30.0
    seed: int = 0


async def run_load(target: Target, load: Load, texts: Sequence[str]) -> Records:
    """Wait for the service, warm it up, and load it.

    Raises:
        NotReadyError: when the service is not there in time.
    """
    async with Client(target) as client:
        await client.wait_until_ready(load.wait_s)
        if load.warmup_s > 0:
            await _load_once(
                client, load, load.warmup_s, request_bodies(texts, target.texts_per_request, load.seed + 1)
            )
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
    names = [f"p{percent:g}" for percent in PERCENTILES] + ["max"]
    rows = []
    for outcome, count in content["outcomes"].items():
        times = content["latency_ms_by_outcome"][outcome]
        rows.append([outcome, str(count), *(number(times.get(name)) for name in names)])
    lines = [
        markdown_table(["outcome", "requests", *(f"{name}, ms" for name in names)], rows),
        f"{content['requests']} requests in {content['elapsed_s']:.1f} s; answered well: "
        f"{content['throughput_per_s']:.1f} a second.",
    ]
    if generator_was_limit(content):
        late = content["generator_lag_ms"]["p99"]
        lines.append(f"The load tool itself sent late ({late:.1f} ms at p99): its figures are not the service's.")
    return "\n\n".join(lines)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="The last line of stdout is one JSON object.",
    )  # fmt: skip
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--rate", type=positive_number, help="open loop: requests a second on average")
    mode.add_argument("--clients", type=positive_int, help="closed loop: clients at the same time")
    parser.add_argument("--seconds", type=positive_number, default=20.0, help="time under load (default 20)")
    parser.add_argument("--url", default="http://127.0.0.1:3000", help="root of the service (default %(default)s)")
    parser.add_argument("--path", default="/predict", help="where texts are posted (default %(default)s)")
    parser.add_argument("--texts", type=Path, help=".jsonl, .tsv or a text a line (default: the embedded corpus)")
    parser.add_argument("--texts-per-request", type=positive_int, default=1, help="texts in a request (default 1)")
    parser.add_argument("--timeout-s", type=positive_number, default=10.0, help="give a request up after (default 10)")
    parser.add_argument("--warmup-s", type=positive_number, default=2.0, help="load that is not counted (default 2)")
    parser.add_argument("--wait-s", type=positive_number, default=30.0, help="wait for /readyz at most (default 30)")
    parser.add_argument("--seed", type=int, default=0, help="of arrivals and of the order of texts (default 0)")
    parser.add_argument(
        "--header", type=header, action="append", default=[], help='like "x-api-key: secret"; repeatable'
    )
    parser.add_argument("--output", type=Path, help="folder for load.json and load.svg")
    parser.add_argument("--allow-remote", action="store_true", help="permit an address that is not this machine")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parse_arguments(arguments)
    if not options.allow_remote:
        check_loopback(options.url)
    target = Target(options.url, options.path, dict(options.header), options.timeout_s, options.texts_per_request)
    load = Load(options.seconds, options.rate, options.clients, options.warmup_s, options.wait_s, options.seed)
    texts = read_texts(options.texts)
    if is_terminal():
        print(f"{len(texts):,} texts; loading {options.url} for {options.seconds:g} s ...", file=sys.stderr)
    records = run(run_load(target, load, texts))
    content = summarise_load(records, target, load)
    if options.output is not None:
        with replacing_folder(options.output) as folder:
            write_load_plot(records, f"{options.url}, {load_name(load)}", folder / "load.svg")
            write_json(folder / "load.json", content)
    print(render_load(content))
    print(json.dumps(content))
    return 0


def load_name(load: Load) -> str:
    """The load in a few words."""
    return f"{load.rate_per_s:g} requests a second" if load.rate_per_s else f"{load.clients} clients"


if __name__ == "__main__":
    run_command(main)
