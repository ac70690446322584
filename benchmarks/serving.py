"""Compare the service with three others on the same bundle, all in one run: throughput, latency, overhead, overload.

The others: FastAPI around a transformers pipeline (what most people write first), a bare Starlette server that runs our
int8 model without batching, and the same model on BentoML's adaptive batching, tuned. All are started here, on
this machine's loopback, and take turns under load.

For example:
  python -m benchmarks.serving --bundle runs/latest/bundle --texts dev.tsv
  python -m benchmarks.serving --seconds 20 --rounds 5 --overload-s 60
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arguments import positive_int, positive_number
from benchmarks.measure.machine import describe_machine
from benchmarks.measure.progress import Progress
from benchmarks.peers.alone import PREDICTOR, alone_seconds
from benchmarks.peers.comparison import STEADY_SHARE, Comparison, Round
from benchmarks.peers.launch import OURS, PEERS, Peer, Running, running
from benchmarks.peers.overload import overload
from benchmarks.peers.page import render_serving, serving_json, write_serving
from benchmarks.peers.usage import usage_of
from benchmarks.traffic.arrivals import poisson_arrivals
from benchmarks.traffic.client import Client, Target
from benchmarks.traffic.digest import digest
from benchmarks.traffic.event_loop import run
from benchmarks.traffic.loops import closed_loop, open_loop
from benchmarks.traffic.texts import read_texts, request_bodies
from shared.bundle import default_bundle_path
from shared.cli import run_command
from shared.errors import NotReadyError

REPORTS = Path(__file__).parent / "reports"
PATIENCE_S = 120.0
"""Of a client in a closed loop: a slow peer shall be slow, not failing."""


@dataclass(frozen=True)
class Extent:
    """How much to measure.

    Attributes:
        clients: at saturation.
        seconds: of each turn under load.
        rounds: turns of each server.
        alone: texts of the lone client.
        overload_s: time far above saturation; 0 leaves it out.
        deadline_ms: sent with the requests of that time.
    """

    clients: int = 64
    seconds: float = 10.0
    rounds: int = 3
    alone: int = 200
    overload_s: float = 0.0
    deadline_ms: float = 2000.0


def compare(
    bundle: Path, peers: Sequence[Peer], texts: Sequence[str], extent: Extent, progress: Progress
) -> Comparison:
    """Start everyone, take turns, and end everyone."""
    missing: dict[str, str] = {}
    with _all_running(peers, bundle, missing, progress) as servers:
        machine = describe_machine()
        progress.step("one client alone")
        sample = random.Random(0).sample(list(texts), min(extent.alone, len(texts)))
        alone_s = run(alone_seconds(bundle, servers, sample, PATIENCE_S))
        predictor_s = alone_s.pop(PREDICTOR)
        saturation = _saturate(servers, texts, extent, progress)
        ours = next((server for server in servers if server.name == OURS.name), None)
        found = Comparison(machine, str(bundle), extent.clients, saturation, alone_s, predictor_s, missing=missing)
        return found if ours is None else _with_open_loads(found, ours, texts, extent, progress)


@contextlib.contextmanager
def _all_running(
    peers: Sequence[Peer], bundle: Path, missing: dict[str, str], progress: Progress
) -> Iterator[list[Running]]:
    with contextlib.ExitStack() as stack:
        servers = []
        for peer in peers:
            progress.step(f"starting {peer.name}")
            try:
                servers.append(stack.enter_context(running(peer, bundle)))
            except NotReadyError as error:
                missing[peer.name] = str(error)
        yield servers


def _saturate(
    servers: Sequence[Running], texts: Sequence[str], extent: Extent, progress: Progress
) -> dict[str, list[Round]]:
    """Every server has one turn in each round, in an order drawn anew; a first, short turn is not counted."""
    rounds: dict[str, list[Round]] = {server.name: [] for server in servers}
    for server in servers:
        progress.step(f"warming up {server.name}")
        run(_turn(server, texts, extent.clients, min(3.0, extent.seconds), seed=1000))
    order, shuffler = list(servers), random.Random(0)
    for number in range(extent.rounds):
        shuffler.shuffle(order)
        for server in order:
            progress.step(f"{extent.clients} clients on {server.name}")
            rounds[server.name].append(run(_turn(server, texts, extent.clients, extent.seconds, number)))
    return rounds


async def _turn(server: Running, texts: Sequence[str], clients: int, seconds: float, seed: int) -> Round:
    before = usage_of(server.pid)
    async with Client(Target(server.url, timeout_s=PATIENCE_S)) as client:
        records = await closed_loop(client, clients, seconds, request_bodies(texts, 1, seed))
    after = usage_of(server.pid)
    cpu_ms = (after.cpu_s - before.cpu_s) / max(1, len(records)) * 1e3
    return Round(digest(records), round(cpu_ms, 3), round(after.memory_mib, 1))


def _with_open_loads(
    found: Comparison, ours: Running, texts: Sequence[str], extent: Extent, progress: Progress
) -> Comparison:
    """Add the steady load and, where asked for, the overload of ours."""
    saturation = found.throughput(OURS.name).median
    if saturation == 0:
        return found
    progress.step("a steady load on ours")
    steady = run(_steady(ours, texts, STEADY_SHARE * saturation, extent.seconds * 2))
    progress.step("far too much load on ours")
    flood: Mapping[str, object] = {}
    if extent.overload_s > 0:
        work = overload(
            ours, texts, saturation=saturation, seconds=extent.overload_s, deadline_ms=extent.deadline_ms,
            normal_ms=found.alone_ms(OURS.name),
        )  # fmt: skip
        flood = run(work)
    return dataclasses.replace(found, steady=steady, overload=flood)


async def _steady(server: Running, texts: Sequence[str], rate: float, seconds: float) -> Mapping[str, object]:
    async with Client(Target(server.url)) as client:
        records = await open_loop(client, poisson_arrivals(rate, seconds), request_bodies(texts, 1))
    return {"rate_per_s": rate, **digest(records)}


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="The last line of stdout is one JSON object.",
    )  # fmt: skip
    usual = Extent()
    names = [peer.name for peer in PEERS]
    parser.add_argument("--bundle", type=Path, help="what to serve (default: $EMOTION_BUNDLE, else runs/latest/bundle)")
    parser.add_argument("--texts", type=Path, help=".jsonl, .tsv or a text a line (default: the embedded corpus)")
    parser.add_argument("--clients", type=positive_int, default=usual.clients, help="at saturation (default 64)")
    parser.add_argument("--seconds", type=positive_number, default=usual.seconds, help="of each turn (default 10)")
    parser.add_argument("--rounds", type=positive_int, default=usual.rounds, help="turns of each server (default 3)")
    parser.add_argument(
        "--alone", type=positive_int, default=usual.alone, help="texts of the lone client (default 200)"
    )
    parser.add_argument(
        "--overload-s", type=positive_number, default=usual.overload_s,
        help="also send ours 5 times what saturates it, for so long (left out by default)",
    )  # fmt: skip
    parser.add_argument(
        "--deadline-ms", type=positive_number, default=usual.deadline_ms, help="of requests in it (default 2000)"
    )
    parser.add_argument("--only", choices=names, nargs="+", default=names, help="servers to run (default: all)")
    parser.add_argument("--output", type=Path, help="folder to write (default benchmarks/reports/<date>-serving)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parse_arguments(arguments)
    bundle = (options.bundle or default_bundle_path()).resolve()
    extent = Extent(
        options.clients, options.seconds, options.rounds, options.alone, options.overload_s, options.deadline_ms
    )
    peers = [peer for peer in PEERS if peer.name in options.only]
    texts = read_texts(options.texts)
    progress = Progress(len(peers) * (2 + extent.rounds) + 3)
    found = compare(bundle, peers, texts, extent, progress)
    progress.close()
    target = options.output or REPORTS / f"{datetime.date.today().isoformat()}-serving"
    write_serving(found, target)
    print(render_serving(found))
    print(f"Written to {target}.")
    print(json.dumps(serving_json(found)))
    return 0


if __name__ == "__main__":
    run_command(main)
