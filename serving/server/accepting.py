"""New connections are taken in several at a time, as a flood brings them."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Any

AT_ONCE = 32
"""Connections taken in within one turn of the event loop."""

LOOK_EVERY_S = 0.05


async def accept_several_at_once(server_handler: Any) -> None:
    """Listen more than once on the sockets of the uvicorn server whose signal handler this is, as soon as it has begun.

    uvloop takes in one connection for each listener and turn. In a flood turns are long, so that connections would wait
    for seconds and, when the kernel's queue overflows, be lost. Does nothing on another event loop or server.
    """
    server: Any = getattr(server_handler, "__self__", None)
    if (
        server is None
        or not hasattr(server, "lifespan")
        or not type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    ):
        return
    while not server.started:
        await asyncio.sleep(LOOK_EVERY_S)
    config, loop = server.config, asyncio.get_running_loop()
    connection = partial(config.http_protocol_class, config, server.server_state, server.lifespan.state)
    for listener in [listener for first in server.servers for listener in first.sockets]:
        for _ in range(AT_ONCE - 1):
            same = socket.socket(fileno=socket.dup(listener.fileno()))
            # uvicorn closes all its servers when it ends
            server.servers.append(
                await loop.create_server(connection, sock=same, ssl=config.ssl, backlog=config.backlog)
            )
