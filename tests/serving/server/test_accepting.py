from __future__ import annotations

import asyncio
import signal
import socket
from types import SimpleNamespace

import pytest

from serving.server.accepting import AT_ONCE, accept_several_at_once

uvloop = pytest.importorskip("uvloop", reason="uvloop is what takes in one connection at a time")


class Uvicorn(SimpleNamespace):
    """As much of a uvicorn server as is looked at."""

    def handle_exit(self, number: int, frame: object) -> None:
        """Its signal handler, which leads to it."""


def turns_until_all_are_in(clients: int, *, several: bool) -> int:
    """Turns of the event loop that it takes to accept connections that are there already."""
    accepted = []

    class Connection(asyncio.Protocol):
        def __init__(self, *_: object) -> None:
            accepted.append(self)

    async def scenario() -> int:
        loop = asyncio.get_running_loop()
        first = await loop.create_server(Connection, "127.0.0.1", 0, backlog=200)
        config = SimpleNamespace(http_protocol_class=Connection, ssl=None, backlog=200)
        server = Uvicorn(
            config=config, lifespan=SimpleNamespace(state={}), server_state=None, started=True, servers=[first]
        )
        if several:
            await accept_several_at_once(server.handle_exit)
            assert len(server.servers) == AT_ONCE
        ends = [socket.create_connection(first.sockets[0].getsockname()) for _ in range(clients)]
        turns = 0
        while len(accepted) < clients and turns < 1000:
            await asyncio.sleep(0)
            turns += 1
        for end in ends:
            end.close()
        for listening in server.servers:
            listening.close()
        return turns

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(scenario())


def test_a_burst_of_connections_is_taken_in_within_a_few_turns():
    assert turns_until_all_are_in(100, several=True) < turns_until_all_are_in(100, several=False) / 4


def test_another_server_is_left_alone():
    asyncio.run(accept_several_at_once(signal.SIG_DFL))
