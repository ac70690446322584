from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from benchmarks.measure.worker import Worker, WorkerError


def spin() -> Callable[[], object]:
    return lambda: sum(range(3_000_000))


def refuse() -> Callable[[], object]:
    raise ValueError("no such shape")


def break_down() -> Callable[[], object]:
    def call() -> None:
        raise ArithmeticError("not finite")

    return call


def vanish() -> Callable[[], object]:
    return lambda: os._exit(3)


def test_the_call_is_made_in_the_other_process_which_counts_its_time() -> None:
    with Worker(spin) as first, Worker(spin) as second:
        before = first.cpu_s(), second.cpu_s()
        first()
        after = first.cpu_s(), second.cpu_s()
    assert after[0] - before[0] > 0.01
    assert after[1] - before[1] < 0.01


def test_what_goes_wrong_there_is_told_here() -> None:
    with pytest.raises(WorkerError, match="ValueError: no such shape"):
        Worker(refuse)
    worker = Worker(break_down)
    with pytest.raises(WorkerError, match="ArithmeticError: not finite"):
        worker()
    worker = Worker(vanish)
    with pytest.raises(WorkerError, match="ended without an answer"):
        worker()
