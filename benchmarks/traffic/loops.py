"""The two ways to load a service: arrivals that do not wait for answers, and clients that do."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.traffic.records import Record, Records


class Sender(Protocol):
    """Whatever takes a body and names the outcome."""

    async def send(self, body: bytes) -> str:
        """Send one request."""
        ...


async def open_loop(
    sender: Sender, arrivals: Sequence[float] | NDArray[np.float64], bodies: Iterator[bytes]
) -> Records:
    """Send a request at each arrival time, however many are still unanswered; ends when all are."""
    rows: list[Record] = []

    async def one(due: float, body: bytes) -> None:
        sent = time.perf_counter() - start
        outcome = await sender.send(body)
        rows.append(Record(due, sent, time.perf_counter() - start, outcome))

    tasks = set()
    with _no_collection():
        start = time.perf_counter()
        for due in map(float, arrivals):
            body = next(bodies)
            wait = due - (time.perf_counter() - start)
            # also when late: the tasks begun must get to run
            await asyncio.sleep(max(0.0, wait))
            task = asyncio.create_task(one(due, body))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
    return Records.of(rows)


async def closed_loop(sender: Sender, clients: int, seconds: float, bodies: Iterator[bytes]) -> Records:
    """`clients` send their next request as soon as the last is answered, for `seconds`."""
    rows: list[Record] = []

    async def client() -> None:
        free = 0.0
        while free < seconds:
            body = next(bodies)
            sent = time.perf_counter() - start
            outcome = await sender.send(body)
            done = time.perf_counter() - start
            rows.append(Record(free, sent, done, outcome))
            free = done

    with _no_collection():
        start = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
    return Records.of(rows)


@contextmanager
def _no_collection() -> Iterator[None]:
    """No pauses of the garbage collector: they would be counted as the service's."""
    before = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
