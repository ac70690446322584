"""The event loop that the load tool runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

try:
    import uvloop as loops
except ImportError:  # there is none for Windows
    import asyncio as loops  # type: ignore[no-redef]

_Result = TypeVar("_Result")


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """`asyncio.run`, on uvloop where there is one: what the tool takes of shared cores is taken from the service."""
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        return runner.run(main)
