"""Who is sent away at the door: in a flood, a refusal must cost next to nothing, or refusing is all that gets done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from serving.engine.state import ServiceState
from serving.http.access import PREDICT, record, request_id
from serving.http.answers import error_form
from serving.http.deadline import timeout_s
from shared.errors import OverloadedError, RequestError

URL = PREDICT.encode()
RawHeaders = Sequence[tuple[bytes, bytes]]


class Door:
    """Refuses predictions by their heads alone while the service has no room, before anything is made for them.

    The gate would say the same, at several times the cost: a task, a scope, BentoML's and Starlette's layers. All but
    a plain refusal is left to it.
    """

    def __init__(self, state: ServiceState) -> None:
        self._state = state
        self._let_in = 0

    def refusal(self, method: bytes, url: bytes, headers: RawHeaders) -> bytes | None:
        """Head and body of a 429, without its status line; None for a request that may go on to the gate."""
        if url != URL or method != b"POST" or not self._state.is_open or not self._state.engine.ready:
            return None
        started = time.perf_counter()
        batcher, settings = self._state.engine.require().batcher, self._state.settings
        named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        try:
            limit_s = timeout_s(named, settings.deadline_ms)
            self._state.keys.check(named)
            batcher.check_room(1, limit_s, on_their_way=self._let_in)
        except OverloadedError as error:
            return self._refused(error, request_id(named.get("x-request-id", "")), started)
        except RequestError:
            return None  # it has another answer, which the gate gives
        self._count()
        return None

    def _count(self) -> None:
        """Count a request that the batcher does not know of before the event loop's next turn.

        In a flood a turn brings hundreds: without this all of them would find the room that there is for one.
        """
        if not self._let_in:
            asyncio.get_running_loop().call_soon(self._forget)
        self._let_in += 1

    def _forget(self) -> None:
        self._let_in = 0

    def _refused(self, error: OverloadedError, name: str, started: float) -> bytes:
        status, body, extra = error_form(error)
        lines = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "x-request-id": name,
            **extra,
        }
        record(self._state, PREDICT, "POST", status, request_id=name, seconds=time.perf_counter() - started)
        head = "".join(f"{key}: {value}\r\n" for key, value in lines.items())
        return head.encode("latin-1") + b"\r\n" + body
