"""Interleaved rounds: all contenders take turns in one process run, so that a ratio compares like with like."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

Clock = Callable[[], float]
Call = Callable[[], object]


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
        max_rounds: most rounds; every contender has one turn in each.
        min_rounds: fewest rounds, whatever they take.
        budget_s: no further round is begun after this many seconds, once there are `min_rounds`.
        warmup: untimed calls of each contender before the first round.
        turn_s: a turn repeats a short call until it has lasted about this long, and keeps the median.
        seed: of the order of the turns, drawn anew in each round.
        fresh: how often all of it is done with contenders set up anew, where that can make a difference.
    """

    max_rounds: int = 15
    min_rounds: int = 5
    budget_s: float = 30.0
    warmup: int = 2
    turn_s: float = 0.02
    seed: int = 0
    fresh: int = 1


def interleave(
    calls: Mapping[str, Call], plan: Plan, clock: Clock = time.perf_counter
) -> dict[str, NDArray[np.float64]]:
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
            taken[name].append(_turn(calls[name], repeats[name], clock))
    return {name: np.array(values) for name, values in taken.items()}


def _repeats(call: Call, plan: Plan, clock: Clock) -> int:
    """Warm up; how many times a turn makes the call so that it lasts about `plan.turn_s`."""
    for _ in range(plan.warmup):
        call()
    typical = _timed(call, clock)
    return max(1, min(20, round(plan.turn_s / typical))) if typical > 0 else 1


def _turn(call: Call, repeats: int, clock: Clock) -> float:
    if repeats > 1:
        call()
    return median(_timed(call, clock) for _ in range(repeats))


def _timed(call: Call, clock: Clock) -> float:
    start = clock()
    call()
    return clock() - start
