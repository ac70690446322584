"""The life of a process of the service: it ends with its supervisor, and loudly when one of its own tasks fails."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger("emotion.process")

SUPERVISOR = "EMOTION_SUPERVISOR"
"""Environment variable with the number of the process that starts the others."""

PARENT_POLL_S = 1.0
"""Time between two looks for the supervisor."""

ORPHAN_GRACE_S = 30.0
"""Time an orphan has to answer what it holds; BentoML's supervisor gives as much."""


def supervised_task(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """A task that others rely on: if it fails, the process shuts down, so that its supervisor starts another one."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    task.add_done_callback(_shut_down_if_failed)
    return task


def _shut_down_if_failed(task: asyncio.Task[None]) -> None:
    if task.cancelled() or (error := task.exception()) is None:
        return
    logger.critical("the task '%s' failed; the process shuts down", task.get_name(), exc_info=error)
    os.kill(os.getpid(), signal.SIGTERM)


def supervise() -> None:
    """Let the processes that this one starts know it: it may have ended before they look for their parent."""
    os.environ[SUPERVISOR] = str(os.getpid())


async def end_with_parent() -> None:
    """Wait until the process that started this one is no more, then shut down: an orphan would keep the port."""
    parent = int(os.environ.get(SUPERVISOR) or os.getppid())
    while os.getppid() == parent:
        await asyncio.sleep(PARENT_POLL_S)
    logger.critical("the supervisor (pid %d) has ended; the process shuts down", parent)
    asyncio.get_running_loop().call_later(ORPHAN_GRACE_S, os._exit, 1)
    os.kill(os.getpid(), signal.SIGTERM)
