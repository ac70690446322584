"""Load on a service: arrivals that do not wait for answers, clients that do, and what became of every request."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import percentile

try:
    import uvloop as loops
except ImportError:  # there is none for Windows
    import asyncio as loops  # type: ignore[no-redef]

OK, TIMEOUT, REFUSED, BROKEN, WRONG = "ok", "timeout", "connection refused", "connection broken", "wrong answer"
PERCENTILES = (50.0, 95.0, 99.0, 99.9)
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Record:
    """One request; times in seconds from the start of the run."""

    due: float  # when it should have been sent: its arrival, or the moment its client was free
    sent: float  # when it was
    done: float  # when its outcome was known
    outcome: str  # ok; http 429 and the like; or what else went wrong


@dataclass(frozen=True)
class Records:
    """All requests of a run, as columns of shape (N,)."""

    due: NDArray[np.float64]
    sent: NDArray[np.float64]
    done: NDArray[np.float64]
    outcome: NDArray[np.str_]

    @classmethod
    def of(cls, rows: list[Record]) -> Records:
        """From single records, in the order they were due."""
        rows = sorted(rows, key=lambda row: row.due)
        times = np.array([(row.due, row.sent, row.done) for row in rows], dtype=np.float64).reshape(-1, 3)
        return cls(times[:, 0], times[:, 1], times[:, 2], np.array([row.outcome for row in rows], dtype=np.str_))

    def __len__(self) -> int:
        return len(self.due)

    @property
    def latency_s(self) -> NDArray[np.float64]:
        """Seconds from the moment a request was due to its outcome, waiting in the load tool included.

        Counting from the moment it was sent would leave out just the requests that a stalled service held back:
        coordinated omission. https://www.azul.com/files/HowNotToMeasureLatency_LLSummit_NYC_12Nov2013.pdf
        """
        return self.done - self.due


Send = Callable[[bytes], Awaitable[str]]
"""Posts a body and names the outcome."""


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """`asyncio.run`, on uvloop where there is one: what the tool takes of shared cores is taken from the service."""
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        return runner.run(main)


def poisson_arrivals(rate_per_s: float, seconds: float, seed: int = 0) -> NDArray[np.float64]:
    """Arrival times in seconds, rising, all below `seconds`, of many users who know nothing of each other.

    Gaps are independent and exponential with mean 1 / `rate_per_s`; both arguments are above 0.
    """
    expected = rate_per_s * seconds
    gaps = np.random.default_rng(seed).exponential(1 / rate_per_s, int(expected + 10 * np.sqrt(expected) + 10))
    times = np.cumsum(gaps)
    return times[times < seconds]


async def open_loop(send: Send, arrivals: Iterable[float], bodies: Iterator[bytes]) -> Records:
    """Send a request at each arrival time, however many are still unanswered; ends when all are."""
    rows: list[Record] = []

    async def one(due: float, body: bytes) -> None:
        sent = time.perf_counter() - start
        outcome = await send(body)
        rows.append(Record(due, sent, time.perf_counter() - start, outcome))

    tasks = set()
    with _no_collection():
        start = time.perf_counter()
        for due in map(float, arrivals):
            body = next(bodies)
            # also when late: the tasks begun must get to run
            await asyncio.sleep(max(0.0, due - (time.perf_counter() - start)))
            task = asyncio.create_task(one(due, body))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
    return Records.of(rows)


async def closed_loop(send: Send, clients: int, seconds: float, bodies: Iterator[bytes]) -> Records:
    """`clients` send their next request as soon as the last is answered, for `seconds`."""
    rows: list[Record] = []

    async def client() -> None:
        free = 0.0
        while free < seconds:
            body = next(bodies)
            sent = time.perf_counter() - start
            outcome = await send(body)
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


def digest(records: Records, texts_per_request: int = 1) -> dict[str, Any]:
    """The run as one JSON object, times in milliseconds.

    `throughput_per_s` is of requests answered well, from the first that was due to the last answer; `generator_lag_ms`
    counts from the due time to sending: where it is not small, the load tool was the limit.
    """
    good = records.outcome == OK
    elapsed = float(records.done.max() - records.due.min()) if len(records) else 0.0
    served = int(good.sum()) / elapsed if elapsed > 0 else 0.0
    outcomes = Counter(map(str, records.outcome))
    return {
        "requests": len(records),
        "outcomes": dict(outcomes.most_common()),
        "elapsed_s": round(elapsed, 3),
        "throughput_per_s": round(served, 2),
        "texts_per_s": round(served * texts_per_request, 2),
        "latency_ms": in_ms(records.latency_s[good]),
        "latency_ms_by_outcome": {name: in_ms(records.latency_s[records.outcome == name]) for name in outcomes},
        "generator_lag_ms": in_ms(records.sent - records.due),
    }


def in_ms(seconds: NDArray[np.float64]) -> dict[str, float]:
    """Percentiles, mean and maximum in milliseconds; empty where there is nothing."""
    if len(seconds) == 0:
        return {}
    found = {f"p{percent:g}": percentile(seconds, percent) for percent in PERCENTILES}
    found |= {"mean": float(seconds.mean()), "max": float(seconds.max())}
    return {name: round(value * 1e3, 3) for name, value in found.items()}


def generator_was_limit(content: dict[str, Any]) -> bool:
    """Whether the load tool itself sent late by more than a tenth of what it measured at the 99th percentile."""
    lag, latency = content["generator_lag_ms"], content["latency_ms"]
    return bool(lag and latency and lag["p99"] > max(1.0, 0.1 * latency["p99"]))
