"""SIGTERM under load: one server takes over from another, now on a second port, now on the first again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure.progress import Progress
from benchmarks.peers.launch import OURS, Running, free_port, running
from benchmarks.soak.crowd import Crowd
from benchmarks.soak.tally import Request, Tally
from shared.errors import NotReadyError

END_S = 60.0


@dataclass
class Handover:
    """What came of it.

    Attributes:
        tally: of all requests.
        codes: exit code of each server that got SIGTERM.
        seconds: each took to end.
    """

    tally: Tally
    codes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def hand_over(
    bundle: Path, requests: Sequence[Request], *, least: int, times: int, clients: int, seed: int, progress: Progress
) -> Handover:
    """Load two ports; start a server on the free one and end the other, `times` times.

    Raises:
        NotReadyError: when a server does not start, or does not end.
    """
    with contextlib.ExitStack() as stack:
        ports = (free_port(), free_port())
        crowd = Crowd([("127.0.0.1", port) for port in ports], requests, clients, seed)
        found = Handover(crowd.tally)
        progress.step("starting the first server")
        first = stack.enter_context(running(OURS, bundle, ports[0]))

        async def operate(crowd: Crowd) -> None:
            server = first
            for number in range(1, times + 1):
                await crowd.reached(least * number // (times + 1))
                progress.step(f"handover {number}: {crowd.tally.done:,} requests, {len(crowd.tally.lost)} lost")
                fresh = running(OURS, bundle, ports[number % 2])
                following = await asyncio.to_thread(stack.enter_context, fresh)
                await asyncio.to_thread(_end, server, found)
                server = following

        asyncio.run(crowd.run(least, operate))
    return found


def _end(server: Running, found: Handover) -> None:
    started = time.monotonic()
    server.terminate()
    while server.process.poll() is None:
        if time.monotonic() - started > END_S:
            raise NotReadyError(f"the server did not end within {END_S:g} s of SIGTERM.")
        time.sleep(0.02)
    found.codes.append(server.process.returncode)
    found.seconds.append(round(time.monotonic() - started, 2))
