"""The end of the service: after SIGTERM it goes on accepting for a moment, answers what it holds, then stops."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import socket
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from serving.online.engine import Engine

logger = logging.getLogger("emotion.lifecycle")

LAST_WORDS_S = 0.25
"""Time for a request on a connection that was accepted last to arrive."""


def drain_on_sigterm(engine: Engine, drain_s: float) -> None:
    """Put a pause between SIGTERM and the server's own handling of it, which drops idle connections at once.

    In the pause `/readyz` answers 503, so that a load balancer looks elsewhere, and requests already on their way
    are still served; their connections are closed after the answer. Then new connections are refused, and last the
    server ends.
    """
    loop = asyncio.get_running_loop()
    server_handler = signal.getsignal(signal.SIGTERM)
    tasks: set[asyncio.Task[None]] = set()

    def begin(number: int, frame: FrameType | None) -> None:
        def end() -> None:
            if callable(server_handler):
                server_handler(number, frame)

        def start() -> None:
            tasks.add(loop.create_task(_drain(drain_s, listening_sockets(server_handler), end)))

        if not engine.draining:
            engine.draining = True
            logger.info("SIGTERM: draining for %.1f s", drain_s)
            loop.call_soon_threadsafe(start)

    signal.signal(signal.SIGTERM, begin)


async def _drain(drain_s: float, listening: Iterable[socket.socket], end: Callable[[], None]) -> None:
    try:
        await asyncio.sleep(drain_s)
        for listener in listening:
            await refuse_connections(listener)
        await asyncio.sleep(LAST_WORDS_S)
    finally:
        end()


async def refuse_connections(listener: socket.socket) -> None:
    """Let the event loop accept what has connected, then have the kernel refuse the rest.

    The supervising process holds the same socket: without this the kernel would go on taking connections that nobody
    answers, and reset them in the end.
    """
    for _ in range(1000):
        if not select.select([listener], [], [], 0)[0]:
            break
        await asyncio.sleep(0)
    with socket.socket(fileno=os.dup(listener.fileno())) as own:  # uvloop's stand-ins for sockets cannot be shut down
        own.shutdown(socket.SHUT_RDWR)


def listening_sockets(server_handler: Any) -> list[socket.socket]:
    """Sockets of the uvicorn server whose signal handler this is; none for another server."""
    servers = getattr(getattr(server_handler, "__self__", None), "servers", [])
    return [listener for server in servers for listener in server.sockets]
