"""What a caller counts as lost, and what not: against servers that let it down in every way there is."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from benchmarks.attacks.attack import post
from benchmarks.soak import caller as module
from benchmarks.soak.caller import Caller
from benchmarks.soak.tally import Request, Tally
from shared.errors import NotReadyError
from tests.benchmarks.attacks.scripted import http, read_request, scripted

REQUEST = Request(post(b"{}"), 200)
ANSWER = json.dumps({"model": "seal"}).encode()


async def answer_always(reader, writer):
    while True:
        await read_request(reader)
        writer.write(http(200, ANSWER))


def asked(handler, times=1, pause_s=0.0, before=(), expected=200):
    """The tally of one caller; `before` are addresses it tries first."""

    async def whole():
        tally = Tally()
        async with scripted(handler) as address:
            caller = Caller([*before, address], tally)
            for _ in range(times):
                await caller.ask(Request(REQUEST.data, expected))
                await asyncio.sleep(pause_s)
            await caller.close()
        return tally

    return asyncio.run(whole())


def nobody():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()


def test_answers_are_counted_by_status_and_seal_on_one_connection():
    connections = []

    async def handler(reader, writer):
        connections.append(1)
        await answer_always(reader, writer)

    tally = asked(handler, times=3)
    assert (tally.sent, tally.answered, tally.lost, len(connections)) == (3, 3, [], 1)
    assert tally.seals == {"seal": 3}
    assert not tally.unexpected


def test_another_status_than_the_right_one_is_noted():
    tally = asked(answer_always, expected=422)
    assert tally.unexpected == {200: 1}


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_a_request_that_was_taken_and_not_answered_in_full_is_lost(said):
    async def handler(reader, writer):
        await read_request(reader)
        writer.write(said)

    tally = asked(handler, times=2)
    assert (tally.sent, tally.answered, len(tally.lost)) == (2, 0, 2)


def test_a_server_that_never_answers_loses_the_request(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)

    async def handler(reader, writer):
        await reader.read()

    assert asked(handler).lost == ["TimeoutError: "]


def test_a_refused_connection_costs_nothing_and_the_next_replica_is_asked():
    tally = asked(answer_always, times=2, before=[nobody()])
    assert (tally.refused, tally.answered, tally.lost) == (1, 2, [])


def test_a_connection_that_was_closed_while_idle_is_opened_anew():
    async def handler(reader, writer):
        await read_request(reader)
        writer.write(http(200, ANSWER))

    tally = asked(handler, times=2, pause_s=0.05)
    assert (tally.closed, tally.answered, tally.lost) == (1, 2, [])


def test_a_connection_that_the_server_says_it_closes_is_not_used_again():
    async def handler(reader, writer):
        await read_request(reader)
        writer.write(http(200, ANSWER, Connection="close"))
        await reader.read()

    tally = asked(handler, times=2)
    assert (tally.closed, tally.answered, tally.lost) == (0, 2, [])


def test_after_a_server_that_is_not_ready_the_next_is_asked():
    async def starting(reader, writer):
        await read_request(reader)
        writer.write(http(503))
        await reader.read()

    async def whole():
        tally = Tally()
        async with scripted(starting) as first, scripted(answer_always) as second:
            caller = Caller([first, second], tally)
            for _ in range(3):
                await caller.ask(REQUEST)
            await caller.close()
        return tally

    assert asyncio.run(whole()).statuses == {503: 1, 200: 2}


def test_when_nobody_listens_any_more_the_caller_says_so(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.1)
    with pytest.raises(NotReadyError, match="no server listens on any of"):
        asyncio.run(Caller([nobody()], Tally()).ask(REQUEST))
