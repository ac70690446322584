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
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.client import Client, Target, read_texts, request_bodies
from benchmarks.machine import describe_machine
from benchmarks.measure import Seconds, usage_of
from benchmarks.peers.comparison import STEADY_SHARE, Comparison, Round, render_serving, serving_json
from benchmarks.peers.launch import OURS, PEERS, Peer, Running, earlier, infinity, running
from benchmarks.rendering import add_values, advance, parser, positive_number, publish
from benchmarks.traffic import OK, closed_loop, digest, open_loop, poisson_arrivals, run
from shared.bundle import default_bundle_path
from shared.cli import positive, run_command
from shared.errors import NotReadyError

REPORTS = Path(__file__).parent / "reports"
LOOP_TIMEOUT_S = 120.0
"""Of a client in a closed loop: a slow peer shall be slow, not failing."""

BLOCK = 25
"""Texts in a row for one contender of the lone client: enough to be warm, few enough that all see the same machine."""

PREDICTOR = "predictor"
TIMES_SATURATION = 5.0
NORMAL = 3.0
"""Latency counts as normal again below so many times that of a lone client."""

RECOVERY_S = 30.0
CONNECTIONS = 2048
"""Kept by the client in an overload, as a proxy before the service would: new ones are another kind of load."""


@dataclass(frozen=True)
class Extent:
    """How much to measure."""

    clients: int = 64  # at saturation
    seconds: float = 10.0  # of each turn under load
    rounds: int = 3  # turns of each server
    alone: int = 200  # texts of the lone client
    overload_s: float = 0.0  # time far above saturation; 0 leaves it out
    deadline_ms: float = 2000.0  # sent with the requests of that time


def compare(bundle: Path, peers: Sequence[Peer], texts: Sequence[str], extent: Extent) -> Comparison:
    """Start everyone, take turns, and end everyone."""
    missing: dict[str, str] = {}
    with (
        tqdm(total=len(peers) * (2 + extent.rounds) + 3, disable=None, leave=False) as bar,
        _all_running(peers, bundle, missing, bar) as servers,
    ):
        machine = describe_machine()
        advance(bar, "one client alone")
        sample = random.Random(0).sample(list(texts), min(extent.alone, len(texts)))
        alone_s = run(_alone(bundle, servers, sample))
        predictor_s = alone_s.pop(PREDICTOR)
        saturation = _saturate(servers, texts, extent, bar)
        found = Comparison(machine, str(bundle), extent.clients, saturation, alone_s, predictor_s, missing=missing)
        ours = next((server for server in servers if server.name == OURS.name), None)
        return found if ours is None else _with_open_loads(found, ours, texts, extent, bar)


@contextlib.contextmanager
def _all_running(peers: Sequence[Peer], bundle: Path, missing: dict[str, str], bar: Any) -> Iterator[list[Running]]:
    with contextlib.ExitStack() as stack:
        servers = []
        for peer in peers:
            advance(bar, f"starting {peer.name}")
            try:
                servers.append(stack.enter_context(running(peer, bundle)))
            except NotReadyError as error:
                missing[peer.name] = str(error)
        yield servers


async def _alone(bundle: Path, servers: Sequence[Running], texts: Sequence[str]) -> dict[str, Seconds]:
    """Seconds of each server, and of the bare predictor on one thread, from text to answer, shape (K,) each."""
    from serving.predictor import Predictor

    predictor = Predictor.load(bundle, threads=1)
    taken: dict[str, list[float]] = {PREDICTOR: [], **{server.name: [] for server in servers}}
    async with contextlib.AsyncExitStack() as stack:
        clients = {server.name: await stack.enter_async_context(Client(_target(server))) for server in servers}
        for start in range(0, len(texts), BLOCK):
            block = texts[start : start + BLOCK]
            # the first of each block is asked twice, and counts when it is warm
            taken[PREDICTOR] += [_predictor_s(predictor, text) for text in (block[0], *block)][1:]
            for name, client in clients.items():
                taken[name] += [await _client_s(client, text) for text in (block[0], *block)][1:]
    return {name: np.array(values) for name, values in taken.items()}


def _target(server: Running) -> Target:
    return Target(server.url, server.form, timeout_s=LOOP_TIMEOUT_S)


def _predictor_s(predictor: Any, text: str) -> float:
    start = time.perf_counter()
    predictor.probabilities(predictor.logits([text]))
    return time.perf_counter() - start


async def _client_s(client: Client, text: str) -> float:
    body = json.dumps({client.target.form.texts: [text]}).encode()
    start = time.perf_counter()
    outcome = await client.send(body)
    if outcome != OK:
        raise NotReadyError(f"a lone request to {client.target.url} ended with: {outcome}.")
    return time.perf_counter() - start


def _saturate(servers: Sequence[Running], texts: Sequence[str], extent: Extent, bar: Any) -> dict[str, list[Round]]:
    """Every server has one turn in each round, in an order drawn anew; a first, short turn is not counted."""
    rounds: dict[str, list[Round]] = {server.name: [] for server in servers}
    for server in servers:
        advance(bar, f"warming up {server.name}")
        run(_turn(server, texts, extent.clients, min(3.0, extent.seconds), seed=1000))
    order, shuffler = list(servers), random.Random(0)
    for number in range(extent.rounds):
        shuffler.shuffle(order)
        for server in order:
            advance(bar, f"{extent.clients} clients on {server.name}")
            rounds[server.name].append(run(_turn(server, texts, extent.clients, extent.seconds, number)))
    return rounds


async def _turn(server: Running, texts: Sequence[str], clients: int, seconds: float, seed: int) -> Round:
    before, _ = usage_of(server.pid)
    async with Client(_target(server)) as client:
        bodies = request_bodies(texts, 1, seed, field=server.form.texts)
        records = await closed_loop(client.send, clients, seconds, bodies)
    after, memory_mib = usage_of(server.pid)
    return Round(digest(records), round((after - before) / max(1, len(records)) * 1e3, 3), round(memory_mib, 1))


def _with_open_loads(found: Comparison, ours: Running, texts: Sequence[str], extent: Extent, bar: Any) -> Comparison:
    """Add the steady load and, where asked for, the overload of ours."""
    saturation = found.throughput(OURS.name).median
    if saturation == 0:
        return found
    advance(bar, "a steady load on ours")
    steady = run(_steady(ours, texts, STEADY_SHARE * saturation, extent.seconds * 2))
    advance(bar, "far too much load on ours")
    overload: Mapping[str, object] = {}
    if extent.overload_s > 0:
        overload = run(_overload(ours, texts, TIMES_SATURATION * saturation, extent, found.alone_ms(OURS.name)))
    return dataclasses.replace(found, steady=steady, overload=overload)


async def _steady(server: Running, texts: Sequence[str], rate: float, seconds: float) -> Mapping[str, object]:
    async with Client(Target(server.url)) as client:
        records = await open_loop(client.send, poisson_arrivals(rate, seconds), request_bodies(texts, 1))
    return {"rate_per_s": rate, **digest(records)}


async def _overload(
    server: Running, texts: Sequence[str], rate: float, extent: Extent, normal_ms: float
) -> Mapping[str, object]:
    """The digest of several times more than the service can do, with memory in MiB and how soon it is itself again."""
    headers = {"x-request-timeout-ms": f"{extent.deadline_ms:.0f}"}
    bodies = request_bodies(texts, 1)
    _, before = usage_of(server.pid)
    async with Client(Target(server.url, headers=headers, timeout_s=30, connections=CONNECTIONS)) as client:
        records = await open_loop(client.send, poisson_arrivals(rate, extent.overload_s), bodies)
        recovery_s = await _recovery(client, list(islice(bodies, 50)), NORMAL * normal_ms / 1e3)
    _, after = usage_of(server.pid)
    return {
        "rate_per_s": rate, "times_saturation": TIMES_SATURATION, "deadline_ms": extent.deadline_ms,
        "memory_before": round(before, 1), "memory_after": round(after, 1), "recovery_s": recovery_s, **digest(records),
    }  # fmt: skip


async def _recovery(client: Client, bodies: Sequence[bytes], normal_s: float) -> float:
    """Seconds until ten lone requests in a row are answered well in normal time; `RECOVERY_S` when they never are."""
    start, since, in_row, number = time.perf_counter(), 0.0, 0, 0
    while time.perf_counter() - start < RECOVERY_S:
        sent = time.perf_counter()
        good = await client.send(bodies[number % len(bodies)]) == OK and time.perf_counter() - sent <= normal_s
        number += 1
        since = sent - start if in_row == 0 else since
        in_row = in_row + 1 if good else 0
        if in_row == 10:
            return round(since, 3)
    return RECOVERY_S


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    command, usual = parser("benchmarks.serving", __doc__), Extent()
    names = [peer.name for peer in PEERS]
    add_values(
        command,
        ("--bundle", Path, None, "what to serve (default: $EMOTION_BUNDLE, else runs/latest/bundle)"),
        ("--texts", Path, None, ".jsonl, .tsv or a text a line (default: the embedded corpus)"),
        ("--clients", positive, usual.clients, "at saturation"),
        ("--seconds", positive_number, usual.seconds, "of each turn"),
        ("--rounds", positive, usual.rounds, "turns of each server"),
        ("--alone", positive, usual.alone, "texts of the lone client"),
        ("--overload-s", positive_number, usual.overload_s, "also send ours 5 times what saturates it, for so long"),
        ("--deadline-ms", positive_number, usual.deadline_ms, "of requests in it"),
        ("--output", Path, None, "folder to write (default benchmarks/reports/<date>-serving)"),
    )
    command.add_argument(
        "--before", type=Path, metavar="CHECKOUT", help="also the service of this other checkout of ours"
    )
    command.add_argument(
        "--infinity", metavar="PYTHON", help="also infinity, of the environment of this interpreter (torch engine)"
    )
    command.add_argument("--only", choices=names, nargs="+", default=names, help="servers to run (default: all)")
    return command.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parse_arguments(arguments)
    bundle = (options.bundle or default_bundle_path()).resolve()
    extent = Extent(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Extent)})
    peers = [peer for peer in PEERS if peer.name in options.only]
    if options.before:
        peers.append(earlier(options.before))
    with tempfile.TemporaryDirectory(prefix="benchmark-checkpoint-") as folder:
        if options.infinity:
            peers.append(infinity(options.infinity, bundle, Path(folder)))
        found = compare(bundle, peers, read_texts(options.texts), extent)
    target = options.output or REPORTS / f"{datetime.date.today().isoformat()}-serving"
    publish(target, "serving", serving_json(found), render_serving(found))
    return 0


if __name__ == "__main__":
    run_command(main)
