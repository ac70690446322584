"""The gate around every route: request ids, keys, one form for every error, and what is counted and logged."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.engine.state import ServiceState
from serving.http.access import LIMITED, PROTECTED, record, request_id
from serving.http.answers import error_form
from serving.http.deadline import timeout_s
from shared.errors import NotReadyError, OverloadedError, RequestError

logger = logging.getLogger("emotion.access")

OWN = "x-emotion-form"
"""Marks, inside the process, an error that already has the one form."""

STATUS_ERRORS: Mapping[int, tuple[str, str, str]] = {
    404: ("not_found", "NotFoundError", "there is nothing at this path; see /docs.json for what there is."),
    405: ("method_not_allowed", "MethodNotAllowedError", "this path does not take this method; see /docs.json."),
    503: ("not_ready", "NotReadyError", "the service is not ready; wait until GET /readyz answers 200."),
}
"""Status -> error, error_type and detail of errors that come from the framework."""

UNEXPECTED = ("internal_error", "InternalError", "an unexpected error; the log has it under this request's id.")


def framework_form(status: int) -> bytes:
    """Body of an error that came from the framework, by its status."""
    error, error_type, detail = STATUS_ERRORS.get(status, UNEXPECTED)
    return json.dumps({"error": error, "error_type": error_type, "detail": detail}).encode()


class GateInFront:
    """Puts the gate before BentoML's own middleware when the application starts.

    BentoML appends a service's middleware to its own, whose time limit keeps a timer and a future of every request for
    seconds after its answer: ten thousand of them under load, which the garbage collector looks through again and
    again, in pauses of up to a tenth of a second.

    Args:
        app: the rest of BentoML's middleware.
        state: filled when the service starts.
        direct: called for predictions, past all of BentoML's; None sends them through it, which traces them.
    """

    def __init__(self, app: ASGIApp, state: ServiceState, direct: ASGIApp | None = None) -> None:
        self.app = app
        self.state = state
        self.direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Install the gate when the application starts; pass everything on."""
        if scope["type"] == "lifespan":
            application = scope["app"]
            application.middleware_stack = Gate(application.middleware_stack, self.state, self.direct)
        await self.app(scope, receive, send)


class Gate:
    """ASGI middleware around the whole application; for its arguments see `GateInFront`."""

    def __init__(self, app: ASGIApp, state: ServiceState, direct: ASGIApp | None = None) -> None:
        self.app = app
        self.state = state
        self._predictions = direct or app
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] == "http":
            await self._pass(scope, receive, send)
        elif scope["type"] != "websocket":
            await self.app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["query_string"] = b""  # no route takes one, and a trace would carry it away
        headers = Headers(scope=scope)
        exchange = _Exchange(self.state, scope, headers, send)
        limited = exchange.path in LIMITED
        self._count(limited)
        try:
            self._admit(exchange, headers)
            await (self._predictions if limited else self.app)(scope, receive, exchange.send)
        except RequestError as error:
            await exchange.fail(*error_form(error))
        except Exception:
            logger.exception("unexpected error", extra={"fields": {"request_id": exchange.request_id}})
            await exchange.fail(500, framework_form(500), {})
        finally:
            self._count(-limited)
            self._record(exchange)

    def _count(self, change: int) -> None:
        self._in_flight += change
        if self.state.is_open:
            self.state.metrics.in_flight.set(self._in_flight)

    def _admit(self, exchange: _Exchange, headers: Mapping[str, str]) -> None:
        """Refuse what need not even be read.

        Raises:
            RequestError: NotReadyError, UnauthorizedError, InvalidInputError or OverloadedError.
        """
        if not self.state.is_open:
            raise NotReadyError("the service is starting.", hint="Wait until GET /readyz answers 200.")
        if exchange.path in PROTECTED:
            self.state.keys.check(headers)
        if exchange.path in LIMITED and exchange.method == "POST":
            settings = self.state.settings
            if self._in_flight > settings.max_concurrency:
                raise OverloadedError(f"{settings.max_concurrency} requests are in flight already.")
            limit_s = timeout_s(headers, settings.deadline_ms)
            self.state.engine.require().batcher.check_room(1, limit_s)

    def _record(self, exchange: _Exchange) -> None:
        if self.state.is_open:
            seconds = time.perf_counter() - exchange.started
            record(
                self.state, exchange.path, exchange.method, exchange.status,
                request_id=exchange.request_id, seconds=seconds,
            )  # fmt: skip


class _Exchange:
    """One request and its answer on the way out; an error that lacks the one form is given it."""

    def __init__(self, state: ServiceState, scope: Scope, headers: Headers, send: Send) -> None:
        self._state = state
        self.started = time.perf_counter()
        self.path: str = scope["path"]
        self.method: str = scope["method"] if scope["method"].isalpha() and len(scope["method"]) < 10 else "other"
        self.request_id = request_id(headers.get("x-request-id", ""))
        self.status = 0
        self._send = send
        self._replaced = False

    @property
    def _closing(self) -> bool:
        """Whether the connection ends with the answer; asked when that is sent: a shutdown may have begun by then."""
        return self._state.is_open and self._state.engine.draining

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if message["status"] >= 400 and OWN not in headers:
                self._replaced = True
                allow = {"allow": headers["allow"]} if "allow" in headers else {}
                await self.fail(message["status"], framework_form(message["status"]), allow)
                return
            del headers[OWN]
            headers["x-request-id"] = self.request_id
            if self._closing:
                headers["connection"] = "close"
            self.status = message["status"]
        if not self._replaced:
            await self._send(message)

    async def fail(self, status: int, body: bytes, extra: Mapping[str, str]) -> None:
        """Answer with an error, unless an answer has begun."""
        if self.status:
            return
        self.status = status
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "x-request-id": self.request_id,
            **({"connection": "close"} if self._closing else {}),
            **extra,
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})
        await self._send({"type": "http.response.body", "body": body})
