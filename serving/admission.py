"""Admission control: which requests are taken on; time limit, key, requests in flight and room in the queue."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence

from serving.api_keys import ApiKeys
from serving.engine import Engine
from serving.settings import Settings
from shared.errors import InvalidInputError, NotReadyError, OverloadedError, RequestError

PREDICT, CLASSIFY, ROOT = "/predict", "/classify", "/"
PREDICTIONS = frozenset({PREDICT, CLASSIFY, ROOT})
"""Paths that do work when something is posted to them: the number in flight is limited."""

_PREDICTION_URLS = frozenset(path.encode() for path in PREDICTIONS)

PROTECTED = frozenset({PREDICT, CLASSIFY, "/model"})
"""Paths that need a key where keys are set, as predictions do."""

TIMEOUT_HEADER = "x-request-timeout-ms"

MAX_QUEUE_WAIT_FRACTION = 0.4
"""Largest share of its deadline that a text may be expected to wait: the rest is for what the estimate is wrong by.

Of a request of several it is a share of what is left of the deadline when the last one is due.
"""

RawHeaders = Sequence[tuple[bytes, bytes]]


def is_prediction(path: str, method: str) -> bool:
    """Whether a request does work."""
    return method == "POST" and path in PREDICTIONS


class AdmissionControl:
    """Decides on every request; a rejection is a `RequestError`, rendered by whoever asked.

    Asked up to three times, with what is known by then: `reject_early` while a connection has read no more than a head,
    `admit` once the request is a task, and `check_room` when its texts have been counted.

    Args:
        settings: the limits.
        keys: the API keys.
        engine: whose queue there must be room in.
    """

    def __init__(self, settings: Settings, keys: ApiKeys, engine: Engine) -> None:
        self._settings = settings
        self._keys = keys
        self._engine = engine
        self.in_flight = 0
        self.admitted_this_tick = 0
        """Requests that `reject_early` let pass and the queue does not know of before the event loop's next turn."""

    def reject_early(self, method: bytes, url: bytes, headers: RawHeaders) -> OverloadedError | None:
        """Why a prediction has no room, by its head alone, before anything is made for it.

        Under overload a 429 must cost next to nothing, or rejecting is all that gets done. Every other answer, good or
        bad, is left to `admit`.
        """
        if method != b"POST" or url not in _PREDICTION_URLS or not self._engine.ready:
            return None
        named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        if "origin" in named and self._settings.cors_origins:
            return None  # a browser hides an answer without the headers that the middleware adds
        try:
            timeout_s = self.timeout_s(named)
            self._keys.check(named)
            self.check_room(1, timeout_s, ahead=self.admitted_this_tick)
        except OverloadedError as error:
            # its frames would hold the error and the connection: garbage that waits for the collector, in every 429
            return error.with_traceback(None)
        except RequestError:
            return None
        # a turn of the event loop brings hundreds under overload: uncounted, all would find the room there is for one
        if not self.admitted_this_tick:
            asyncio.get_running_loop().call_soon(self.reset)
        self.admitted_this_tick += 1
        return None

    def reset(self) -> None:
        """Begin another turn of the event loop: the queue knows of all that were admitted."""
        self.admitted_this_tick = 0

    def admit(self, path: str, method: str, headers: Mapping[str, str]) -> None:
        """Let a request pass on to its route; `in_flight` counts it already.

        Raises:
            UnauthorizedError: when it needs a key and has none.
            InvalidInputError: when its time limit is not one.
            NotReadyError: when no bundle is in service.
            OverloadedError: when too many are in flight, or the queue has no room for one more text.
        """
        predicts = is_prediction(path, method)
        if predicts or path in PROTECTED:
            self._keys.check(headers)
        if predicts:
            if self.in_flight > self._settings.max_concurrency:
                raise OverloadedError(f"{self._settings.max_concurrency} requests are in flight already.")
            self.check_room(1, self.timeout_s(headers))

    def timeout_s(self, headers: Mapping[str, str]) -> float:
        """Seconds for one request: those its header asks for, the deadline of the settings at most and by default.

        Raises:
            InvalidInputError: when the header is not a whole number of milliseconds.
        """
        asked, most_ms = headers.get(TIMEOUT_HEADER), self._settings.deadline_ms
        if asked is None:
            return most_ms / 1000
        if not (asked.isascii() and asked.isdigit() and len(asked) < 10 and int(asked) > 0):
            raise InvalidInputError(f"{TIMEOUT_HEADER} must be a whole number of milliseconds, 1 to {most_ms}.")
        return min(int(asked), most_ms) / 1000

    def check_room(self, num_texts: int, timeout_s: float, *, ahead: int = 0) -> None:
        """Whether the queue takes `num_texts` more, behind those it holds and `ahead` others on their way to it.

        Raises:
            OverloadedError: when the queue is full, or too long to be done well within `timeout_s`.
            NotReadyError: when no bundle is in service, or the service is shutting down.
        """
        batcher, most = self._engine.require().batcher, self._settings.queue_texts
        if batcher.closed:
            raise NotReadyError("the service is shutting down.", hint="Send the request to another replica.")
        if batcher.held + ahead + num_texts > most:
            retry_after_s = max(1, math.ceil(batcher.wait_s(math.inf, ahead)))
            raise OverloadedError(f"the queue is full ({most} texts).", retry_after_s=retry_after_s)
        last_due_s = batcher.pace.last_due_s(num_texts, timeout_s)
        wait_s = batcher.wait_s(last_due_s, ahead)
        if wait_s > MAX_QUEUE_WAIT_FRACTION * (timeout_s - last_due_s):
            raise OverloadedError(
                f"the queue is {wait_s:.1f} s long, the deadline {timeout_s:.1f} s.", retry_after_s=math.ceil(wait_s)
            )
