"""The measuring core: interleaved rounds, medians and ratios with their spread, and calls in processes of their own."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median
from typing import Any, Self

import numpy as np
import psutil
from numpy.typing import NDArray

Clock = Callable[[], float]
Call = Callable[[], object]
Values = Sequence[float] | NDArray[np.float64]
Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """How long to measure."""

    max_rounds: int = 15  # most rounds; every contender has one turn in each
    min_rounds: int = 5  # fewest rounds, whatever they take
    budget_s: float = 30.0  # no further round is begun after it, once there are `min_rounds`
    warmup: int = 2  # untimed calls of each contender before the first round
    turn_s: float = 0.02  # a turn repeats a short call until it has lasted about this long, and keeps the median
    seed: int = 0  # of the order of the turns, drawn anew in each round
    fresh: int = 1  # how often all is done with contenders set up anew, where that can make a difference


def interleave(calls: Mapping[str, Call], plan: Plan, clock: Clock = time.perf_counter) -> dict[str, Seconds]:
    """Seconds a call of each contender, shape (R,): entry r of all contenders was taken in the same round.

    A short call is preceded in its turn by an untimed one: the contender before it has emptied the caches, which in
    service nobody does.
    """
    repeats = {name: _repeats(call, plan, clock) for name, call in calls.items()}
    order, shuffler = list(calls), random.Random(plan.seed)
    taken: dict[str, list[float]] = {name: [] for name in calls}
    start = clock()
    for done in range(plan.max_rounds):
        if done >= plan.min_rounds and clock() - start >= plan.budget_s:
            break
        shuffler.shuffle(order)
        for name in order:
            if repeats[name] > 1:
                calls[name]()
            taken[name].append(median(_timed(calls[name], clock) for _ in range(repeats[name])))
    return {name: np.array(values) for name, values in taken.items()}


def _repeats(call: Call, plan: Plan, clock: Clock) -> int:
    """Warm up; how many times a turn makes the call so that it lasts about `plan.turn_s`."""
    for _ in range(plan.warmup):
        call()
    typical = _timed(call, clock)
    return max(1, min(20, round(plan.turn_s / typical))) if typical > 0 else 1


def _timed(call: Call, clock: Clock) -> float:
    start = clock()
    call()
    return clock() - start


@dataclass(frozen=True)
class Summary:
    """A median with the quartiles around it, of `count` values."""

    median: float
    low: float
    high: float
    count: int


def summarise(values: Values) -> Summary:
    """Median and quartiles.

    Raises:
        ValueError: when there are no values.
    """
    if len(values) == 0:
        raise ValueError("no values to summarise.")
    return Summary(float(median(values)), percentile(values, 25), percentile(values, 75), len(values))


def speedup(slow: Values, fast: Values) -> Summary:
    """How many times faster `fast` is, from the quotients within each round: a slow minute of the machine cancels out.

    Args:
        slow: seconds, shape (R,).
        fast: seconds of the other contender in the same R rounds.

    Raises:
        ValueError: when the two were not taken in the same rounds.
    """
    if len(slow) != len(fast):
        raise ValueError(f"{len(slow)} and {len(fast)} rounds cannot be compared: they must be the same ones.")
    return summarise([a / b for a, b in zip(slow, fast, strict=True)])


def percentile(values: Values, percent: float) -> float:
    """The nearest-rank percentile: the smallest value that at least `percent` % of all do not exceed.

    It is always a value that was measured. https://en.wikipedia.org/wiki/Percentile#The_nearest-rank_method

    Raises:
        ValueError: when there are no values.
    """
    if len(values) == 0:
        raise ValueError("no values to take a percentile of.")
    return float(np.percentile(values, percent, method="inverted_cdf"))


class Worker:
    """A call that is made in a process of its own: contenders that share no allocator can still take turns.

    Args:
        make: run in the new process, gives the call; it must be picklable. What it raises, or the call, rises here.
    """

    def __init__(self, make: Callable[[], Call]) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        try:
            self._pool.submit(_keep, make).result()
        except BaseException:
            self._pool.shutdown()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def __call__(self) -> None:
        """Make the call, and wait for its end."""
        self._pool.submit(_make_the_call).result()

    def cpu_s(self) -> float:
        """Seconds of processor time the process has taken so far."""
        return self._pool.submit(time.process_time).result()


_kept: list[Call] = []
"""Of a worker's process: its call."""


def _keep(make: Callable[[], Call]) -> None:
    _kept.append(make())


def _make_the_call() -> None:
    _kept[0]()


def in_fresh_process(function: Callable[..., Any], *arguments: object) -> Any:
    """What a picklable function returns in a process that did nothing before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def limit_threads(threads: int) -> None:
    """Set the threads of torch and of BLAS, here and in processes started from here.

    Libraries that were imported before read their variable no more; what a call has set holds.
    """
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if threads == 1 else "true"
    import torch

    torch.set_num_threads(threads)


def usage_of(pid: int) -> tuple[float, float]:
    """Of a process and all its descendants: seconds of processor time since their start, and resident MiB now."""
    cpu_s, memory = 0.0, 0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):  # what has ended counts as nothing
                times = process.cpu_times()
                memory += process.memory_info().rss
                cpu_s += times.user + times.system
    return cpu_s, memory / 2**20
