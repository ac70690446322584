"""What is read from a socket, and what counts as lost: servers that let a client down in every way there is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from random import Random

import pytest

from tests.system import crowd, sockets
from tests.system.crowd import Caller, Request, Tally
from tests.system.sockets import MARKER, Attack, Ending, one_of, post, send
from tests.system.test_attacks import SHARES, attacks


def http(status, body=b"{}", **headers):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextlib.asynccontextmanager
async def scripted(handler):
    async def one(reader, writer):
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        server.close()


async def read_request(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


def outcome(attack, handler):
    async def whole():
        async with scripted(handler) as address:
            return await send(attack, *address)

    return asyncio.run(whole())


def test_several_answers_on_one_connection_are_read_in_order_until_the_server_closes():
    async def handler(reader, writer):
        for _ in range(3):
            await read_request(reader)
        writer.write(http(400) + http(200))

    statuses = (frozenset({400}), frozenset({200}), frozenset({200}))
    found = outcome(Attack("k", (post(b"{}") * 3,), statuses), handler)
    assert [answer.status for answer in found.answers] == [400, 200]
    assert "closed without an answer" in found.trouble


def test_chunks_are_sent_apart_and_a_half_closed_client_still_reads():
    times = []

    async def handler(reader, writer):
        while piece := await reader.read(100):
            times.append((asyncio.get_running_loop().time(), piece))
        writer.write(http(200))

    found = outcome(Attack("k", (b"a", b"b"), one_of(200), pause_s=0.05, ending=Ending.HALF_CLOSE), handler)
    assert [piece for _, piece in times] == [b"a", b"b"]
    assert times[1][0] - times[0][0] >= 0.04
    assert [answer.status for answer in found.answers] == [200]


@pytest.mark.parametrize(("ending", "seen"), [(Ending.RESET, "reset"), (Ending.CLOSE, "closed")])
def test_a_client_that_goes_away_is_seen_to_do_so(ending, seen):
    attack = Attack("k", (b"a",), one_of(200), ending=ending)
    ends = []

    async def handler(reader, writer):
        try:
            while await reader.read(100):
                pass
            ends.append("closed")
        except ConnectionResetError:
            ends.append("reset")

    async def whole():
        async with scripted(handler) as address:
            assert (await send(attack, *address)).answers == ()
            while not ends:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(whole(), 5))
    assert ends == [seen]


def test_silence_garbage_and_nobody_are_told_apart(monkeypatch):
    monkeypatch.setattr(sockets, "ANSWER_TIMEOUT_S", 0.2)

    async def silent(reader, writer):
        await asyncio.sleep(1)

    async def garbage(reader, writer):
        writer.write(b"hello\r\n\r\n")

    attack = Attack("k", (b"a",), one_of(200))
    assert outcome(attack, silent).trouble == "no answer within 0.2 s"
    assert outcome(attack, garbage).trouble.startswith("RemoteProtocolError")
    assert asyncio.run(send(attack, "127.0.0.1", 1)).trouble.startswith("no connection")


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
    assert (tally.sent, tally.statuses.total(), tally.lost, len(connections)) == (3, 3, [], 1)
    assert (tally.seals, tally.unexpected) == ({"seal": 3}, {})
    assert asked(answer_always, expected=422).unexpected == {200: 1}


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_a_request_that_was_taken_and_not_answered_in_full_is_lost(said):
    async def handler(reader, writer):
        await read_request(reader)
        writer.write(said)

    tally = asked(handler, times=2)
    assert (tally.sent, tally.statuses.total(), len(tally.lost)) == (2, 0, 2)


def test_a_server_that_never_answers_loses_the_request(monkeypatch):
    monkeypatch.setattr(crowd, "ANSWER_TIMEOUT_S", 0.2)

    async def handler(reader, writer):
        await reader.read()

    assert asked(handler).lost == ["TimeoutError: "]


def test_a_refused_connection_costs_nothing_and_the_next_replica_is_asked():
    tally = asked(answer_always, times=2, before=[nobody()])
    assert (tally.refused, tally.statuses.total(), tally.lost) == (1, 2, [])


@pytest.mark.parametrize(("headers", "closed"), [({}, 1), ({"Connection": "close"}, 0)])
def test_a_connection_closed_while_idle_is_opened_anew_and_one_said_to_close_is_not_used_again(headers, closed):
    async def handler(reader, writer):
        await read_request(reader)
        writer.write(http(200, ANSWER, **headers))
        if headers:
            await reader.read()

    tally = asked(handler, times=2, pause_s=0.05)
    assert (tally.closed, tally.statuses.total(), tally.lost) == (closed, 2, [])


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
    monkeypatch.setattr(crowd, "ANSWER_TIMEOUT_S", 0.1)
    with pytest.raises(AssertionError, match="no server listens on any of"):
        asyncio.run(Caller([nobody()], Tally()).ask(REQUEST))


def test_a_seed_gives_the_same_attacks_and_every_kind_comes_first_if_wished():
    first, again, other = (list(attacks(300, seed, ["hello"])) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len(first) == 300
    kinds = [attack.kind for attack in attacks(100, 0, ["hello"], first=2)]
    assert len(set(kinds[:64])) == len(SHARES)
    assert "control requests" in kinds


@pytest.mark.parametrize("maker", [maker for maker, _ in SHARES], ids=lambda maker: maker.__name__)
def test_whatever_carries_a_text_carries_the_marker(maker):
    made = [maker(Random(seed)) for seed in range(60)]
    assert all(attack.chunks and attack.allowed and all(attack.allowed) for attack in made)
    assert MARKER.encode() in b"".join(b"".join(attack.chunks) for attack in made)
