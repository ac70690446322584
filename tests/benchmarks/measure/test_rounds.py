from __future__ import annotations

import numpy as np
import pytest

from benchmarks.measure.rounds import Plan, interleave


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
