from __future__ import annotations

import asyncio

import pytest

from benchmarks.attacks import sender
from benchmarks.attacks.attack import Attack, Ending, one_of, post
from benchmarks.attacks.sender import send
from tests.benchmarks.attacks.scripted import http, read_request, scripted


def outcome(attack, handler):
    async def whole():
        async with scripted(handler) as address:
            return await send(attack, *address)

    return asyncio.run(whole())


def test_an_answer_is_read_with_status_headers_and_body():
    async def handler(reader, writer):
        assert (await read_request(reader)).endswith(b"\r\n\r\nhello")
        writer.write(http(422, b"body", X_Request_Id="7"))

    found = outcome(Attack("k", (post(b"hello"),), one_of(422)), handler)
    assert [(answer.status, answer.body, answer.headers["x-request-id"]) for answer in found.answers] == [
        (422, b"body", "7")
    ]


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
    monkeypatch.setattr(sender, "PATIENCE_S", 0.2)

    async def silent(reader, writer):
        await asyncio.sleep(1)

    async def garbage(reader, writer):
        writer.write(b"hello\r\n\r\n")

    attack = Attack("k", (b"a",), one_of(200))
    assert outcome(attack, silent).trouble == "no answer within 0.2 s"
    assert outcome(attack, garbage).trouble.startswith("RemoteProtocolError")
    assert asyncio.run(send(attack, "127.0.0.1", 1)).trouble.startswith("no connection")
