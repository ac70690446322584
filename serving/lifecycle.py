"""The end of the service: after SIGTERM it goes on accepting for a moment, answers what it holds, then stops."""

from __future__ import annotations

import asyncio
import logging
import signal
from types import FrameType

from serving.engine import Engine

logger = logging.getLogger("emotion.lifecycle")


def drain_on_sigterm(engine: Engine, drain_s: float) -> None:
    """Put a pause between SIGTERM and the server's own handling of it, which stops accepting at once.

    In the pause `/readyz` answers 503, so that a load balancer looks elsewhere, and requests already on their way
    are still served; their connections are closed after the answer.
    """
    loop = asyncio.get_running_loop()
    server_handler = signal.getsignal(signal.SIGTERM)

    def begin(number: int, frame: FrameType | None) -> None:
        if engine.draining:
            return
        engine.draining = True
        logger.info("SIGTERM: draining for %.1f s", drain_s)
        loop.call_soon_threadsafe(loop.call_later, drain_s, stop, number, frame)

    def stop(number: int, frame: FrameType | None) -> None:
        if callable(server_handler):
            server_handler(number, frame)

    signal.signal(signal.SIGTERM, begin)
