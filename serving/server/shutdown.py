"""The end of the service: after SIGTERM it goes on accepting for a moment, answers what it holds, then stops."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from serving.engine import Engine

logger = logging.getLogger("emotion.shutdown")

CLOSE_GRACE_S = 0.25
"""Time for a client that has an answer to see that its connection is to be closed, or to ask once more."""

FIRST_REQUEST_TIMEOUT_S = 2.0
"""Time for the first request of a connection that was accepted last to arrive."""

POLL_S = 0.02

HANDSHAKE_S = 0.05
"""Time for handshakes that had begun to end."""

_SO_ATTACH_FILTER = 26
_INSTRUCTION = struct.Struct("HBBI")
_DROP_SYN = b"".join(
    _INSTRUCTION.pack(*instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load byte 13 of the TCP header, its flags
        (0x54, 0, 0, 0x12),  # of them SYN and ACK
        (0x15, 0, 1, 0x02),  # SYN alone begins a handshake:
        (0x06, 0, 0, 0),  # drop it,
        (0x06, 0, 0, 0xFFFFFFFF),  # and keep everything else
    )
)
"""A program of the kernel's packet filter, https://www.kernel.org/doc/Documentation/networking/filter.txt."""


def drain_on_sigterm(engine: Engine, drain_s: float, server: Any, server_handler: Any) -> None:
    """Put a pause between SIGTERM and the server's own handling of it, which drops idle connections at once.

    In the pause `/readyz` answers 503, so that a load balancer looks elsewhere, and requests already on their way
    are still served; their connections are closed after the answer. Then new connections are refused, and last the
    server ends.

    Args:
        engine: is told that a shutdown has begun.
        drain_s: length of the pause.
        server: the `uvicorn.Server`, whose listeners and connections are looked at; None where it was not found.
        server_handler: its own handling of the signal.
    """
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def begin(number: int, frame: FrameType | None) -> None:
        def end() -> None:
            if callable(server_handler):
                server_handler(number, frame)

        def start() -> None:
            tasks.add(loop.create_task(_drain(drain_s, server, end)))

        if not engine.draining:
            engine.draining = True
            logger.info("SIGTERM: draining for %.1f s", drain_s)
            loop.call_soon_threadsafe(start)

    signal.signal(signal.SIGTERM, begin)


async def _drain(drain_s: float, server: Any, end: Callable[[], None]) -> None:
    try:
        await asyncio.sleep(drain_s)
        if server is not None:
            await stop_listening([listener for listening in server.servers for listener in listening.sockets])
        await asyncio.sleep(CLOSE_GRACE_S)
        for _ in range(round(FIRST_REQUEST_TIMEOUT_S / POLL_S)):
            # a connection's `cycle` is None until its first request
            if server is None or not any(connection.cycle is None for connection in server.server_state.connections):
                break
            await asyncio.sleep(POLL_S)
    except Exception:
        logger.exception("the drain was cut short")
    finally:
        end()


async def stop_listening(listeners: Sequence[socket.socket]) -> None:
    """Let the event loop accept who has connected, then have the kernel refuse the rest.

    The supervising process holds the same sockets: without this the kernel would go on taking connections that nobody
    answers, and reset them in the end. It also resets those that are made between the last look for one and the end:
    on Linux, none is made by then, since it drops the packets that would begin one. Their senders try again after a
    second, and are refused.
    """
    # uvloop's stand-ins for sockets can neither be shut down nor given a filter; several may stand for the same one
    with contextlib.ExitStack() as stack:
        own = [stack.enter_context(socket.socket(fileno=os.dup(listener.fileno()))) for listener in listeners]
        for listener in own:
            _drop_new_handshakes(listener)
        await asyncio.sleep(HANDSHAKE_S)
        for _ in range(1000):
            if not select.select(own, [], [], 0)[0]:
                break
            await asyncio.sleep(0)
        for listener in own:
            with contextlib.suppress(OSError):  # the same one as before
                listener.shutdown(socket.SHUT_RDWR)


def _drop_new_handshakes(listener: socket.socket) -> None:
    if sys.platform != "linux" or listener.family == socket.AF_UNIX:
        return
    program = ctypes.create_string_buffer(_DROP_SYN)
    fprog = struct.pack("HL", len(_DROP_SYN) // _INSTRUCTION.size, ctypes.addressof(program))
    with contextlib.suppress(OSError):  # a sandbox may not know filters: a moment in which one may be lost remains
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
