"""Rolling restarts and swaps of the bundle under load: what became of every request, and what `/metrics` says of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections import Counter

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.client import read_texts
from shared.bundle import Bundle
from shared.errors import BundleTamperedError
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import NO_CERTIFICATES, Server, free_port, serving
from tests.system import SEED, bundle_from, requests
from tests.system.crowd import NOT_READY, WRONG, Crowd, good_requests

CLIENTS = 16
STUCK_S = 20.0
"""A server that still runs so long after SIGTERM is stuck: its drain and its deadline are over. Ten seconds later its
supervisor would kill it, so now is the time to have its threads say where they are."""

END_S = 60.0
TAKEN_S = 120.0
SCRAPE_EVERY_S = 0.25
REFUSED = "The bundle in service stays."
"""What the log says of a bundle that is not taken."""


@pytest.fixture
def bundles(tmp_path):
    one = bundle_from("SYSTEM_BUNDLE") or stand_in_bundle(tmp_path / "one", seed=0)
    return one, bundle_from("SYSTEM_OTHER_BUNDLE") or stand_in_bundle(tmp_path / "two", seed=1)


@pytest.mark.slow
@pytest.mark.system
def test_a_handover_loses_nothing(bundles, tmp_path, monkeypatch):
    """On two ports in turn, under load, a fresh server starts and the old one gets SIGTERM."""
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")  # an aborted process writes its stacks
    least, ports = requests(150), (free_port(), free_port())
    times = 4 if least > 1000 else 1
    texts = good_requests(read_texts(None), 1000, SEED)
    crowd = Crowd([("127.0.0.1", port) for port in ports], texts, CLIENTS, SEED)
    seconds: list[float] = []
    with contextlib.ExitStack() as stack:

        def start(number: int) -> Server:
            return stack.enter_context(serving(tmp_path / str(number), bundles[0], port=ports[number % 2]))

        async def operate(crowd: Crowd) -> None:
            server = first
            for number in range(1, times + 1):
                await crowd.reached(least * number // (times + 1))
                following = await asyncio.to_thread(start, number)
                seconds.append(await asyncio.to_thread(end, server))
                server = following

        first = start(0)
        asyncio.run(crowd.run(least, operate))
    tally = crowd.tally
    print(f"{tally.done:,} requests, {times} handovers in {seconds} s: {dict(tally.statuses)}")
    assert tally.lost == []
    assert set(tally.unexpected) <= {NOT_READY}
    assert tally.done >= least


def end(server: Server) -> float:
    """Seconds from SIGTERM to the end with code 0; a server that is stuck says where, in the log."""
    started, stuck = time.monotonic(), ""
    server.terminate()
    while server.process.poll() is None:
        taken = time.monotonic() - started
        assert taken < END_S, f"the server did not end within {END_S:g} s of SIGTERM"
        if taken > STUCK_S and not stuck:
            for worker in psutil.Process(server.process.pid).children(recursive=True):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGABRT)
            time.sleep(1)
            stuck = server.log[-20_000:]
        time.sleep(0.02)
    assert not stuck, f"the server did not end by itself:\n{stuck}"
    assert server.process.returncode == 0
    return round(time.monotonic() - started, 2)


@pytest.mark.slow
@pytest.mark.system
def test_swaps_of_the_bundle_lose_nothing_and_a_tampered_one_is_refused(bundles, tmp_path):
    """The link that a server follows moves to and fro under load, and last to a copy that was tampered with."""
    least = requests(150)
    times = 4 if least > 1000 else 1
    good = good_requests(read_texts(None), 1000, SEED)
    mixed = [WRONG[place // 10 % len(WRONG)] if place % 10 == 0 else request for place, request in enumerate(good)]
    seals = [Bundle.read(bundle).seal for bundle in bundles]
    link, bad = tmp_path / "current", tampered_copy(bundles[0], tmp_path / "tampered")
    move_link(link, bundles[0])
    with serving(tmp_path / "server", link, watch_s=0.2) as server:
        crowd = Crowd([("127.0.0.1", int(server.url.rpartition(":")[2]))], mixed, CLIENTS, SEED)

        async def operate(crowd: Crowd) -> None:
            for number in range(1, times + 1):
                await crowd.reached(least * number // (times + 2))
                move_link(link, bundles[number % 2])
                seal = seals[number % 2]
                await until(lambda seal=seal: seal_of(server.url) == seal)
            await crowd.reached(least * (times + 1) // (times + 2))
            move_link(link, bad)
            await until(lambda: REFUSED in server.log)

        scrapes = asyncio.run(watched(crowd, server.url, least, operate))
        counted = scrape(server.url)
    tally = crowd.tally
    print(f"{tally.done:,} requests, {times} swaps, {len(scrapes)} scrapes: {dict(tally.statuses)}")
    assert tally.lost == []
    assert tally.unexpected == {}
    assert tally.done >= least
    assert set(tally.seals) == set(seals)
    assert counted == tally.statuses
    assert scrapes
    assert impossible(scrapes) == []


Scrape = tuple[int, int, int]
"""Answered before it, as `/metrics` counts, sent after it."""


async def watched(crowd, url, least, operate) -> list[Scrape]:
    """Run the crowd, and scrape all the time."""
    scrapes: list[Scrape] = []

    async def watch() -> None:
        while True:
            answered = crowd.tally.statuses.total()
            counted = (await asyncio.to_thread(scrape, url)).total()
            scrapes.append((answered, counted, crowd.tally.sent))
            await asyncio.sleep(SCRAPE_EVERY_S)

    watching = asyncio.create_task(watch())
    try:
        await crowd.run(least, operate)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    return scrapes


def impossible(scrapes: list[Scrape]) -> list[Scrape]:
    """Those that said less than had been answered before, or more than was sent after."""
    return [(answered, counted, sent) for answered, counted, sent in scrapes if not answered <= counted <= sent]


def seal_of(url: str) -> str:
    """The seal of the bundle in service."""
    return str(httpx.get(f"{url}/model", timeout=30, verify=NO_CERTIFICATES).json()["seal"])


def scrape(url: str) -> Counter[int]:
    return parse_answers(httpx.get(f"{url}/metrics", timeout=30, verify=NO_CERTIFICATES).text)


def parse_answers(text: str, route: str = "/predict") -> Counter[int]:
    """Answers of a route by status, in Prometheus' text format."""
    found: Counter[int] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "emotion_requests_total" and sample.labels.get("route") == route:
                found[int(sample.labels["status"])] += int(sample.value)
    return found


async def until(condition) -> None:
    deadline = time.monotonic() + TAKEN_S
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"it did not come within {TAKEN_S:g} s"
        await asyncio.sleep(0.05)


def move_link(link, target) -> None:
    """Have `link` point at `target`, at no moment at nothing."""
    new = link.with_suffix(".new")
    new.symlink_to(target)
    new.replace(link)


def tampered_copy(bundle, folder):
    """A copy whose thresholds differ by a byte from what was sealed."""
    shutil.copytree(bundle, folder)
    file = folder / "thresholds.json"
    file.write_bytes(file.read_bytes() + b" ")
    return folder


def test_a_tampered_copy_is_one_that_is_refused(bundles, tmp_path):
    with pytest.raises(BundleTamperedError, match=r"thresholds\.json"):
        Bundle.read(tampered_copy(bundles[0], tmp_path / "bad"))


def test_a_scrape_that_cannot_be_true_is_found():
    page = (
        '# TYPE emotion_requests_total counter\nemotion_requests_total{route="/predict",status="200"} 7.0\n'
        'emotion_requests_total{route="/predict",status="422"} 2.0\n'
        'emotion_requests_total{route="/model",status="200"} 5.0\n'
    )
    assert parse_answers(page) == {200: 7, 422: 2}
    assert impossible([(8, 9, 12), (9, 9, 9)]) == []
    assert impossible([(10, 9, 12), (3, 9, 8)]) == [(10, 9, 12), (3, 9, 8)]
