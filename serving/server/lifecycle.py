"""The end of the service: after SIGTERM it goes on accepting for a moment, answers what it holds, then stops."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from serving.engine.engine import Engine
from serving.server.listening import listening_sockets, stop_listening

logger = logging.getLogger("emotion.lifecycle")

LAST_WORDS_S = 0.25
"""Time for a client that has an answer to see that its connection is to be closed, or to ask once more."""

FIRST_WORDS_S = 2.0
"""Time for the first request of a connection that was accepted last to arrive."""

LOOK_EVERY_S = 0.02


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
            tasks.add(loop.create_task(_drain(drain_s, server_handler, end)))

        if not engine.draining:
            engine.draining = True
            logger.info("SIGTERM: draining for %.1f s", drain_s)
            loop.call_soon_threadsafe(start)

    signal.signal(signal.SIGTERM, begin)


async def _drain(drain_s: float, server_handler: Any, end: Callable[[], None]) -> None:
    try:
        await asyncio.sleep(drain_s)
        await stop_listening(listening_sockets(server_handler))
        await asyncio.sleep(LAST_WORDS_S)
        for _ in range(round(FIRST_WORDS_S / LOOK_EVERY_S)):
            if not any(connection.cycle is None for connection in _connections(server_handler)):
                break
            await asyncio.sleep(LOOK_EVERY_S)
    except Exception:
        logger.exception("the drain was cut short")
    finally:
        end()


def _connections(server_handler: Any) -> list[Any]:
    """Protocols of the uvicorn server whose signal handler this is; their `cycle` is None until they are asked."""
    server_state = getattr(getattr(server_handler, "__self__", None), "server_state", None)
    return list(getattr(server_state, "connections", ()))
