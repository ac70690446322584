"""Model processes that hang or are killed, under load and with the default settings: what became of every request."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from random import Random

import httpx
import psutil
import pytest

from benchmarks.client import read_texts
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import NO_CERTIFICATES, Server, metric, serving
from tests.serving.test_service_life import has_ended, model_processes
from tests.system import SEED, bundle_from, requests
from tests.system.crowd import NOT_READY, Crowd, good_requests

pytestmark = [pytest.mark.slow, pytest.mark.system]

CLIENTS = 16
UNREADY_WITHIN_S = 15.0
SERVING_WITHIN_S = 30.0
RECOVERED_WITHIN_S = 120.0
"""After the last fault: no promise, but an end."""

FAULTS_S = 60.0
"""How long processes are stopped and killed at random; less where few requests are sent."""

MOST_FAILED = 0.005
"""Share of the answers that may be errors meanwhile."""

OVERLOADED, DEADLINE = 429, 504


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    with serving(
        folder / "server", bundle_from("SYSTEM_BUNDLE") or stand_in_bundle(folder / "bundle"), workers=2
    ) as ours:
        yield ours


def test_when_all_model_processes_hang_the_service_says_so_and_is_back_within_half_a_minute(server):
    hung = model_processes(server)
    assert len(hung) == 2
    started = time.monotonic()
    for process in hung:
        process.send_signal(signal.SIGSTOP)
    unready_s = seconds_until(lambda: not ready(server), UNREADY_WITHIN_S, started)
    assert metric(server.url, "emotion_workers_alive") == 0
    back_s = seconds_until(lambda: ready(server), SERVING_WITHIN_S, started)
    answer = httpx.post(f"{server.url}/predict", json={"text": "i am happy"}, timeout=10)
    restarts = metric(server.url, "emotion_worker_restarts_total", {"reason": "hung"})
    print(f"all stopped: /readyz 503 after {unready_s:.1f} s, 200 again after {back_s:.1f} s, {restarts:g} restarts")
    assert answer.status_code == 200
    assert restarts == 2
    assert all(f"model process {process.pid} did not answer a" in server.log for process in hung)
    assert all(map(has_ended, hung))


def test_when_one_of_two_model_processes_hangs_at_most_one_request_fails(server):
    async def stop_one(crowd: Crowd) -> None:
        await until(lambda: metric(server.url, "emotion_workers_alive") == 2, SERVING_WITHIN_S)
        await crowd.reached(50)
        one = model_processes(server)[0]
        one.send_signal(signal.SIGSTOP)
        await until(lambda: has_ended(one), SERVING_WITHIN_S)
        await until(lambda: metric(server.url, "emotion_workers_alive") == 2, SERVING_WITHIN_S)

    crowd = crowd_of(server)
    asyncio.run(crowd.run(requests(150), stop_one))
    tally = crowd.tally
    print(f"one of two stopped: {tally.done:,} requests, {dict(tally.statuses)}, lost {tally.lost}")
    assert tally.lost == []
    assert tally.unexpected.total() <= 1


def test_processes_stopped_and_killed_at_random_leave_nobody_without_an_answer(server):
    least = requests(150)
    seconds, draw = (FAULTS_S if least > 1000 else 6.0), Random(SEED)
    sent: list[signal.Signals] = []

    def restarts() -> float:
        return metric(server.url, "emotion_worker_restarts_total")

    before = restarts()

    async def harm(crowd: Crowd) -> None:
        await crowd.reached(50)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(psutil.Error, IndexError):  # none is there, or it ends just now
                number = draw.choice([signal.SIGSTOP, signal.SIGKILL])
                draw.choice(model_processes(server)).send_signal(number)
                sent.append(number)
            await asyncio.sleep(draw.uniform(2, 6))
        await until(lambda: restarts() > before, RECOVERED_WITHIN_S)
        await until(lambda: metric(server.url, "emotion_workers_alive") == 2, RECOVERED_WITHIN_S)

    crowd = crowd_of(server)
    asyncio.run(crowd.run(least, harm))
    tally = crowd.tally
    counted = f"{tally.done:,} requests, {dict(tally.statuses)}, {restarts() - before:g} restarts"
    print(f"{len(sent)} faults in {seconds:g} s: {counted}")
    assert tally.lost == []
    assert set(tally.unexpected) <= {OVERLOADED, NOT_READY, DEADLINE}
    # so few requests as in `make test` have no half per cent
    assert tally.unexpected.total() <= MOST_FAILED * tally.done + (least < 1000)


def crowd_of(server: Server) -> Crowd:
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    return Crowd([address], good_requests(read_texts(None), 1000, SEED), CLIENTS, SEED)


def ready(server: Server) -> bool:
    return httpx.get(f"{server.url}/readyz", timeout=5, verify=NO_CERTIFICATES).status_code == 200


def seconds_until(condition: Callable[[], bool], limit_s: float, started: float) -> float:
    """Seconds since `started` at which the condition holds, `limit_s` at most."""
    while not condition():
        assert time.monotonic() - started < limit_s, f"it did not come within {limit_s:g} s"
        time.sleep(0.05)
    return time.monotonic() - started


async def until(condition: Callable[[], bool], limit_s: float) -> None:
    await asyncio.to_thread(seconds_until, condition, limit_s, time.monotonic())
