"""Clients connect all the time while a server stops to listen: who is connected is answered, others are refused."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections import Counter

import pytest

from serving.server.shutdown import stop_listening

CLIENTS = 4
ROUNDS = 12


def call_until_refused(address: tuple[str, int], outcomes: Counter[str]) -> None:
    while True:
        try:
            connection = socket.create_connection(address, timeout=0.3)
        except OSError:  # refused, or never accepted
            outcomes["refused"] += 1
            return
        with connection:
            connection.settimeout(5)
            try:
                connection.sendall(b"x")
                outcomes["answered" if connection.recv(1) == b"x" else "lost"] += 1
            except OSError:
                outcomes["lost"] += 1


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(1))
    writer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a moment remains in which a connection may be lost")
@pytest.mark.parametrize("several", [False, True])
def test_nobody_who_is_connected_is_lost(several):
    uvloop = pytest.importorskip("uvloop")
    outcomes: Counter[str] = Counter()

    async def one_round() -> None:
        servers = [await asyncio.start_server(echo, "127.0.0.1", 0)]
        if several:  # on the same socket
            again = socket.socket(fileno=socket.dup(servers[0].sockets[0].fileno()))
            servers.append(await asyncio.start_server(echo, sock=again))
        listeners = [listener for server in servers for listener in server.sockets]
        address = listeners[0].getsockname()
        clients = [threading.Thread(target=call_until_refused, args=(address, outcomes)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        await asyncio.sleep(0.03)
        await stop_listening(listeners)
        for client in clients:
            await asyncio.to_thread(client.join)
        for server in servers:
            server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for _ in range(ROUNDS):
            runner.run(one_round())
    assert outcomes["lost"] == 0
    assert outcomes["refused"] == CLIENTS * ROUNDS
    assert outcomes["answered"] > CLIENTS * ROUNDS
