"""The end of listening, without a connection lost that somebody has already made."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import select
import socket
import struct
import sys
from collections.abc import Sequence
from typing import Any

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


def listening_sockets(server_handler: Any) -> list[socket.socket]:
    """Sockets of the uvicorn server whose signal handler this is; none for another server."""
    servers = getattr(getattr(server_handler, "__self__", None), "servers", [])
    return [listener for server in servers for listener in server.sockets]


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
