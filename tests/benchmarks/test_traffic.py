from __future__ import annotations

import asyncio
from itertools import repeat

import numpy as np
import pytest

from benchmarks.traffic import (
    OK,
    Record,
    Records,
    closed_loop,
    digest,
    generator_was_limit,
    in_ms,
    open_loop,
    poisson_arrivals,
)


def test_arrivals_have_the_rate_and_the_spread_of_a_poisson_process() -> None:
    arrivals = poisson_arrivals(rate_per_s=50, seconds=400, seed=1)
    expected = 50 * 400
    assert len(arrivals) == pytest.approx(expected, abs=4 * np.sqrt(expected))
    gaps = np.diff(arrivals)
    assert gaps.min() > 0
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.03)
    # exponential: standard deviation equals the mean, and exp(-1) of the gaps are longer than it
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    assert (gaps > gaps.mean()).mean() == pytest.approx(np.exp(-1), abs=0.02)
    # counts of disjoint seconds: variance equals the mean
    counts = np.histogram(arrivals, bins=400, range=(0, 400))[0]
    assert counts.var() == pytest.approx(counts.mean(), rel=0.25)


def test_arrivals_end_in_time_and_repeat_with_their_seed() -> None:
    first, again, other = (poisson_arrivals(20, 10, seed) for seed in (3, 3, 4))
    assert first.max() < 10
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


class FakeService:
    """Serves one request at a time in `service_s`; stalls once, for `stall_s`, before request number `stall_at`."""

    def __init__(self, service_s: float = 0.0, stall_at: int = -1, stall_s: float = 0.0) -> None:
        self.service_s, self.stall_at, self.stall_s = service_s, stall_at, stall_s
        self.served = self.waiting = self.most_waiting = 0
        self.lock = asyncio.Lock()

    async def send(self, body: bytes) -> str:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        async with self.lock:
            await asyncio.sleep(self.stall_s if self.served == self.stall_at else self.service_s)
            self.served += 1
        self.waiting -= 1
        return OK


def test_an_open_loop_goes_on_sending_while_the_service_stalls_and_counts_the_wait_of_each() -> None:
    service = FakeService(stall_at=0, stall_s=0.2)
    records = asyncio.run(open_loop(service.send, np.arange(10) * 0.01, repeat(b"{}")))
    assert len(records) == 10
    assert service.most_waiting == 10
    # request k was due k * 10 ms into a stall of 200 ms
    assert np.all(records.latency_s >= 0.2 - records.due - 0.01)


def test_a_closed_loop_has_never_more_requests_open_than_clients_and_counts_all() -> None:
    service = FakeService(service_s=0.002)
    records = asyncio.run(closed_loop(service.send, 3, 0.1, repeat(b"{}")))
    assert service.most_waiting == 3
    assert len(records) == service.served
    assert records.due.max() < 0.1


def test_every_arrival_has_exactly_one_record_when_the_service_fails() -> None:
    class Failing:
        count = 0

        async def send(self, body: bytes) -> str:
            self.count += 1
            return "http 429" if self.count % 2 else OK

    records = asyncio.run(open_loop(Failing().send, np.zeros(9), repeat(b"{}")))
    assert digest(records)["outcomes"] == {"http 429": 5, "ok": 4}


def test_a_digest_by_hand() -> None:
    rows = [
        Record(0.0, 0.0, 0.010, OK), Record(1.0, 1.5, 1.520, OK),
        Record(2.0, 2.0, 2.030, OK), Record(3.0, 3.0, 3.001, "http 429"), Record(3.5, 3.5, 4.0, OK),
    ]  # fmt: skip
    found = digest(Records.of(rows), texts_per_request=3)
    assert found["outcomes"] == {"ok": 4, "http 429": 1}
    assert found["elapsed_s"] == 4.0
    assert found["throughput_per_s"] == 1.0
    assert found["texts_per_s"] == 3.0
    # the second was sent half a second late: that counts from the moment it was due, not from sending
    assert found["latency_ms"] | {"mean": 0} == {"p50": 30, "p95": 520, "p99": 520, "p99.9": 520, "max": 520, "mean": 0}
    assert found["latency_ms_by_outcome"]["http 429"]["p50"] == 1
    assert found["generator_lag_ms"]["max"] == 500
    assert generator_was_limit(found)


def test_an_empty_run_is_digested_too() -> None:
    found = digest(Records.of([]))
    assert (found["requests"], found["throughput_per_s"], found["latency_ms"]) == (0, 0.0, {})
    assert not generator_was_limit(found)
    assert in_ms(np.array([])) == {}


@pytest.mark.parametrize("seconds", [0.05])
def test_a_closed_loop_of_a_dead_service_ends(seconds: float) -> None:
    class Dead:
        async def send(self, body: bytes) -> str:
            await asyncio.sleep(0.01)
            return "connection refused"

    records = asyncio.run(closed_loop(Dead().send, 2, seconds, repeat(b"{}")))
    assert set(records.outcome) == {"connection refused"}
