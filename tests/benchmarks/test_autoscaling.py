"""The simulated queue against formulas, and the rule against what was worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.autoscaling import Scaling, simulate, steps


def exponential(mean: float, seed: int = 1):
    random = np.random.default_rng(seed)
    return lambda: float(random.exponential(mean))


def test_waits_of_a_steady_queue_grow_by_the_lack_of_service():
    # D/D/1: a text each second, 1.5 s each: the k-th (from 0) waits 0.5 k
    found = simulate([float(k) for k in range(101)], lambda: 1.5, Scaling())
    assert (found.largest_wait_s, found.mean_wait_s) == (50.0, 25.0)
    assert simulate([float(k) for k in range(101)], lambda: 1.0, Scaling()).largest_wait_s == 0


@pytest.mark.parametrize(
    ("servers", "rate", "wait"),
    [
        (1, 0.5, 1.0),  # M/M/1: rho / (mu - lambda) = 0.5 / 0.5
        (2, 1.0, 1 / 3),  # M/M/2: Erlang's C is 1/3 at an offered load of 1; C / (2 mu - lambda)
        (3, 2.0, 4 / 9),  # M/M/3: C = 4/9 at an offered load of 2; C / (3 - 2)
    ],
)
def test_random_arrivals_wait_as_erlang_says(servers, rate, wait):
    arrivals = steps([(150_000, rate)], np.random.default_rng(0))
    found = simulate(arrivals, exponential(1.0), Scaling(least=servers, most=servers))
    assert found.mean_wait_s == pytest.approx(wait, rel=0.05)
    assert found.most_replicas == servers


def test_replicas_come_after_their_start_and_go_after_the_window():
    # 2 texts a second for 200 s against a rate of 1: at 10 s some 10 wait, one replica is wanted per 5 of them
    rule = Scaling(target=5, most=4, every_s=10, start_s=20, down_s=60)
    busy = [k / 2 for k in range(400)]
    found = simulate([*busy, *(200.0 + 10 * k for k in range(1, 100))], lambda: 1.0, rule)
    alone = simulate(busy, lambda: 1.0, Scaling())
    assert found.most_replicas > 1
    assert found.largest_wait_s < alone.largest_wait_s == pytest.approx(199.5)
    # until the second replica reads, at 30 s at the earliest, the k-th text waits k / 2
    assert found.largest_wait_s >= 14
    assert found.replica_hours < 4 * 1200 / 3600 * 0.75  # most of the time there was one again


def test_no_more_than_the_most_and_no_fewer_than_the_least():
    rule = Scaling(target=1, least=2, most=3, every_s=1, start_s=0, down_s=0)
    found = simulate([0.0] * 2, lambda: 1.0, rule)
    assert found.most_replicas == 2
    found = simulate([k / 100 for k in range(1000)], lambda: 1.0, rule)
    assert found.most_replicas == 3


def test_a_new_replica_reads_the_texts_that_waited_before_it_came():
    # 100 texts at once: one is begun at 0 s, then ten a second, as nine replicas come when one first looks at 1 s
    rule = Scaling(target=10, most=10, every_s=1, start_s=0, down_s=60)
    found = simulate([0.0] * 100, lambda: 1.0, rule)
    assert (found.texts, found.most_replicas, found.largest_wait_s) == (100, 10, 10.0)
    assert found.mean_wait_s == pytest.approx((sum(10 * second for second in range(1, 10)) + 9 * 10) / 100)
