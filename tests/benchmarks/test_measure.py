from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

from benchmarks.measure import (
    Plan,
    Summary,
    Worker,
    in_fresh_process,
    interleave,
    percentile,
    speedup,
    summarise,
    usage_of,
)


class FakeMachine:
    """A clock that only calls move; each contender costs a fixed time, times a drift that all share."""

    def __init__(self, drift: float = 0.0) -> None:
        self.now = 0.0
        self.drift = drift
        self.log: list[str] = []

    def clock(self) -> float:
        return self.now

    def call(self, name: str, seconds: float):
        def run() -> None:
            self.log.append(name)
            self.now += seconds * (1 + self.drift * len(self.log))

        return run


def test_every_contender_has_one_turn_in_each_round() -> None:
    machine = FakeMachine()
    calls = {"slow": machine.call("slow", 4.0), "fast": machine.call("fast", 1.0)}
    taken = interleave(calls, Plan(max_rounds=6, min_rounds=2, budget_s=1e9, warmup=0), machine.clock)
    assert {name: list(values) for name, values in taken.items()} == {"slow": [4.0] * 6, "fast": [1.0] * 6}
    rounds = machine.log[2:]
    assert all(set(rounds[i : i + 2]) == {"slow", "fast"} for i in range(0, 12, 2))
    assert {tuple(rounds[i : i + 2]) for i in range(0, 12, 2)} == {("slow", "fast"), ("fast", "slow")}


def test_ratios_within_rounds_survive_a_machine_that_slows_down() -> None:
    machine = FakeMachine(drift=0.05)
    calls = {"slow": machine.call("slow", 4.0), "fast": machine.call("fast", 1.0)}
    taken = interleave(calls, Plan(max_rounds=40, min_rounds=2, budget_s=1e9, warmup=0), machine.clock)
    assert taken["slow"][-1] > 2 * taken["slow"][0]
    assert np.median(taken["slow"] / taken["fast"]) == pytest.approx(4.0, rel=0.05)


def test_the_budget_ends_the_rounds_but_not_before_the_fewest() -> None:
    for budget_s, rounds in ((0.0, 3), (25.0, 5)):
        machine = FakeMachine()
        plan = Plan(max_rounds=50, min_rounds=3, budget_s=budget_s, warmup=0)
        assert len(interleave({"only": machine.call("only", 5.0)}, plan, machine.clock)["only"]) == rounds


def test_a_short_call_is_repeated_after_an_untimed_one_and_a_long_one_is_not() -> None:
    machine = FakeMachine()
    calls = {"short": machine.call("short", 0.005), "long": machine.call("long", 0.05)}
    interleave(calls, Plan(max_rounds=1, min_rounds=1, warmup=2, turn_s=0.02), machine.clock)
    # two to warm up and one to learn the length, then one untimed and four timed, or one timed
    assert machine.log.count("short") == 3 + 1 + 4
    assert machine.log.count("long") == 3 + 1


def test_the_order_is_the_same_for_the_same_seed() -> None:
    logs = []
    for _ in range(2):
        machine = FakeMachine()
        interleave({name: machine.call(name, 1.0) for name in "abc"}, Plan(max_rounds=5, seed=3), machine.clock)
        logs.append(machine.log)
    assert logs[0] == logs[1]


def test_percentiles_of_five_values_by_hand() -> None:
    # the example of the definition's page: 15 20 35 40 50
    values = [50, 15, 40, 20, 35]
    assert [percentile(values, p) for p in (0, 5, 30, 40, 50, 100)] == [15, 15, 20, 20, 35, 50]


def test_a_percentile_agrees_with_numpy_and_is_a_measured_value() -> None:
    values = np.random.default_rng(0).random(1001)
    for percent in (1, 50, 95, 99, 99.9):
        found = percentile(values, percent)
        assert found in values
        assert found == np.percentile(values, percent, method="inverted_cdf")


def test_a_summary_by_hand() -> None:
    assert summarise([4.0, 1.0, 3.0, 2.0]) == Summary(median=2.5, low=1.0, high=3.0, count=4)


def test_a_speedup_is_the_median_of_the_quotients_of_each_round() -> None:
    assert speedup([2.0, 4.0, 90.0], [1.0, 1.0, 30.0]).median == 3.0


def test_what_cannot_be_summarised_is_refused() -> None:
    with pytest.raises(ValueError, match="no values to summarise"):
        summarise([])
    with pytest.raises(ValueError, match="no values to take a percentile of"):
        percentile([], 50)
    with pytest.raises(ValueError, match="2 and 1 rounds cannot be compared"):
        speedup([1.0, 2.0], [1.0])


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
    with pytest.raises(ValueError, match="no such shape"):
        Worker(refuse)
    with Worker(break_down) as worker, pytest.raises(ArithmeticError, match="not finite"):
        worker()
    with Worker(vanish) as worker, pytest.raises(BrokenProcessPool, match="terminated abruptly"):
        worker()


def test_a_fresh_process_is_another_and_ends() -> None:
    first, second = in_fresh_process(os.getpid), in_fresh_process(os.getpid)
    assert len({first, second, os.getpid()}) == 3
    assert usage_of(first) == (0.0, 0.0)


def test_usage_is_of_a_process_and_its_descendants() -> None:
    cpu_s, memory_mib = usage_of(os.getpid())
    with Worker(spin) as worker:
        worker()
        more_cpu_s, more_memory_mib = usage_of(os.getpid())
    assert more_cpu_s > cpu_s + 0.01
    assert more_memory_mib > memory_mib + 5
