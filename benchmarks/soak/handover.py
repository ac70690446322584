"""SIGTERM under load: one server takes over from another, now on a second port, now on the first again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.measure.progress import Progress
from benchmarks.peers.launch import OURS, Running, free_port, running
from benchmarks.soak.crowd import Crowd
from benchmarks.soak.tally import Request, Tally
from shared.errors import NotReadyError

END_S = 60.0
STUCK_S = 20.0
"""A server that still runs so long after SIGTERM is stuck: its drain and its deadline are over. Ten seconds later its
supervisor would kill it, so now is the time to have its threads say where they are."""

STACKS = {"PYTHONFAULTHANDLER": "1"}
"""Has a process write its stacks when it is aborted."""

LAST_LINES = 200


@dataclass
class Handover:
    """What came of it.

    Attributes:
        tally: of all requests.
        codes: exit code of each server that got SIGTERM.
        seconds: each took to end.
        stuck: the end of the log of those that did not end by themselves, with the stack of every thread.
    """

    tally: Tally
    codes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)


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
        first = stack.enter_context(running(OURS, bundle, ports[0], **STACKS))

        async def operate(crowd: Crowd) -> None:
            server = first
            for number in range(1, times + 1):
                await crowd.reached(least * number // (times + 1))
                progress.step(f"handover {number}: {crowd.tally.done:,} requests, {len(crowd.tally.lost)} lost")
                fresh = running(OURS, bundle, ports[number % 2], **STACKS)
                following = await asyncio.to_thread(stack.enter_context, fresh)
                await asyncio.to_thread(_end, server, found)
                server = following

        asyncio.run(crowd.run(least, operate))
    return found


def _end(server: Running, found: Handover) -> None:
    started, stuck = time.monotonic(), ""
    server.terminate()
    while server.process.poll() is None:
        seconds = time.monotonic() - started
        if seconds > STUCK_S and not stuck:
            stuck = _stacks(server)
            found.stuck.append(stuck)
        if seconds > END_S:
            raise NotReadyError(f"the server did not end within {END_S:g} s of SIGTERM.")
        time.sleep(0.02)
    found.codes.append(server.process.returncode)
    found.seconds.append(round(time.monotonic() - started, 2))


def _stacks(server: Running) -> str:
    """Abort the workers of a stuck server; the end of its log, where they say what every thread was doing."""
    for worker in psutil.Process(server.pid).children(recursive=True):
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGABRT)
    time.sleep(1)
    return "\n".join(server.log.splitlines()[-LAST_LINES:])
