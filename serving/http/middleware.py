"""ASGI middleware around every route: request ids, admission, one schema for every error, metrics and access log."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.admission import PREDICTIONS, PROTECTED, TIMEOUT_HEADER, is_prediction
from serving.api_keys import WrongKeyError
from serving.http.responses import error_response
from serving.settings import Network
from serving.state import ServiceState
from shared.errors import NotReadyError, RequestError

logger = logging.getLogger("emotion.access")

ERROR_RENDERED = "x-emotion-error-rendered"
"""Marks, inside the process, a response whose body follows the error schema already."""

QUIET = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
"""Routes that probes call all the time: not logged while they succeed."""

KNOWN = PROTECTED | PREDICTIONS | QUIET | {"/docs", "/docs.json"}

STATUS_ERRORS: Mapping[int, tuple[str, str, str]] = {
    404: ("not_found", "NotFoundError", "there is nothing at this path; see /docs.json for what there is."),
    405: ("method_not_allowed", "MethodNotAllowedError", "this path does not take this method; see /docs.json."),
    503: ("not_ready", "NotReadyError", "the service is not ready; wait until GET /readyz answers 200."),
}
"""Status -> error, error_type and detail of errors that come from the framework."""

UNEXPECTED = ("internal_error", "InternalError", "an unexpected error; the log has it under this request's id.")

WRONG_KEY_DELAY_S = 0.25
WRONG_KEYS_AT_ONCE = 10
"""Together, 40 answers a second at most are held back."""

MAX_WRONG_KEYS_HELD = 100
"""Answers to wrong keys that wait, for 2.5 s at most; more are given at once, so that what waits stays small."""

CORS_OPTIONS: dict[str, Any] = {
    "allow_methods": ("GET", "POST"),
    "allow_headers": ("authorization", "content-type", "x-api-key", "x-request-id", TIMEOUT_HEADER),
    "expose_headers": ("retry-after", "x-request-id"),
}

_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
"""Of W3C's trace context, https://www.w3.org/TR/trace-context/#traceparent-header."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def request_id(given: str) -> str:
    """The id a client gave its request where it is plain, else a new one."""
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def client_address(peer: str, forwarded: str, proxies: Sequence[Network]) -> str:
    """The address of the client: the last in X-Forwarded-For that is no trusted proxy's, if a trusted proxy sent it.

    Whoever is not trusted may write anything there, so `peer`, who is connected, is then the client.
    """
    found = peer
    for hop in (peer, *reversed([part.strip() for part in forwarded.split(",") if part.strip()])):
        try:
            address = ipaddress.ip_address(hop)
        except ValueError:
            return found
        found = str(address)
        if not any(address in network for network in proxies):
            return found
    return found


def record(
    state: ServiceState, path: str, method: str, status: int, *, request_id: str, seconds: float, peer: str,
    headers: Mapping[str, str],
) -> None:  # fmt: skip
    """Count and log a request that has its answer: a time and a line, never a text."""
    route = path if path in KNOWN else "other"
    state.metrics.finished(route, status, seconds)
    quiet = route in QUIET and status < 400
    if state.settings.access_log and not quiet:
        proxies = state.settings.proxies
        fields = {
            "request_id": request_id,
            "client": client_address(peer, headers.get("x-forwarded-for", ""), proxies) if proxies else peer,
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": round(seconds * 1000, 2),
        }
        trace = _TRACE_PARENT.fullmatch(headers.get("traceparent", ""))
        if trace:
            fields["trace_id"] = trace[1]
        logger.info("request", extra={"fields": fields})


def framework_error(status: int) -> bytes:
    """Body of an error that came from the framework, by its status."""
    error, error_type, detail = STATUS_ERRORS.get(status, UNEXPECTED)
    return json.dumps({"error": error, "error_type": error_type, "detail": detail}).encode()


def install_outermost(app: ASGIApp, *, state: ServiceState, direct: ASGIApp | None = None) -> ASGIApp:
    """A middleware that puts `RequestMiddleware` before BentoML's own when the application starts.

    BentoML appends a service's middleware to its own, whose time limit keeps a timer and a future of every request for
    seconds after its answer: ten thousand of them under load, which the garbage collector looks through again and
    again, in pauses of up to a tenth of a second.

    Args:
        app: the rest of BentoML's middleware.
        state: filled when the service starts.
        direct: called for predictions, past all of BentoML's; None sends them through it, which traces them.
    """
    handler = app

    async def install(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal handler
        if scope["type"] == "lifespan":
            application = scope["app"]
            forbid_redirects(application)
            if getattr(application, "middleware_stack", None) is not None:
                application.middleware_stack = with_cors(
                    RequestMiddleware(application.middleware_stack, state, direct), state
                )
            else:
                logger.error(
                    "Starlette's application has no middleware_stack: BentoML's middleware stays in front of ours, "
                    "which costs every request time and leaves some errors without the schema"
                )
                handler = with_cors(RequestMiddleware(app, state, direct), state)
        await handler(scope, receive, send)

    return install


def forbid_redirects(application: Any) -> None:
    """Answer 404 for a path with a slash too many: Starlette sends clients to whatever their Host header says."""
    router = getattr(application, "router", None)
    if router is not None:
        router.redirect_slashes = False


def with_cors(app: ASGIApp, state: ServiceState) -> ASGIApp:
    """`app`, for browsers too on pages of the origins that the settings allow; by default there are none."""
    handler: ASGIApp | None = None

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal handler
        if handler is None and state.is_open:  # the settings are read while the application starts
            origins = state.settings.allowed_origins
            handler = CORSMiddleware(app, allow_origins=origins, **CORS_OPTIONS) if origins else app
        await (handler or app)(scope, receive, send)

    return call


class RequestMiddleware:
    """Around the whole application; for its arguments see `install_outermost`."""

    def __init__(self, app: ASGIApp, state: ServiceState, direct: ASGIApp | None = None) -> None:
        self.app = app
        self.state = state
        self._predictions = direct or app
        self._wrong_keys = asyncio.Semaphore(WRONG_KEYS_AT_ONCE)
        self._wrong_keys_held = 0

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
        response = ResponseWrapper(self.state, scope, headers, send)
        predicts = is_prediction(response.path, response.method)
        self._count(predicts)
        try:
            if not self.state.is_open:
                raise NotReadyError("the service is starting.", hint="Wait until GET /readyz answers 200.")
            self.state.admission.admit(response.path, response.method, headers)
            await (self._predictions if predicts else self.app)(scope, receive, response.send)
        except RequestError as error:
            if isinstance(error, WrongKeyError):
                self._count(-predicts)  # it is refused: while it waits it takes no place of those with a key
                predicts = False
                await self._slow_down()
            await response.fail(*error_response(error))
        except Exception:
            logger.exception("unexpected error", extra={"fields": {"request_id": response.request_id}})
            await response.fail(500, framework_error(500), {})
        finally:
            self._count(-predicts)
            self._record(response)

    async def _slow_down(self) -> None:
        """Make guessing keys slow, whoever guesses: few answers are held back at a time, some others wait for them."""
        self.state.metrics.wrong_keys.inc()
        if self._wrong_keys_held >= MAX_WRONG_KEYS_HELD:
            return
        self._wrong_keys_held += 1
        try:
            async with self._wrong_keys:
                await asyncio.sleep(WRONG_KEY_DELAY_S)
        finally:
            self._wrong_keys_held -= 1

    def _count(self, change: int) -> None:
        if change and self.state.is_open:
            self.state.admission.in_flight += change
            self.state.metrics.in_flight.set(self.state.admission.in_flight)

    def _record(self, response: ResponseWrapper) -> None:
        if self.state.is_open:
            seconds = time.perf_counter() - response.started
            record(
                self.state, response.path, response.method, response.status,
                request_id=response.request_id, seconds=seconds, peer=response.peer, headers=response.headers,
            )  # fmt: skip


class ResponseWrapper:
    """The answer of one request on its way out; an error that does not follow the schema is replaced."""

    def __init__(self, state: ServiceState, scope: Scope, headers: Headers, send: Send) -> None:
        self._state = state
        self.started = time.perf_counter()
        self.headers = headers
        self.peer: str = (scope.get("client") or ("",))[0]
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
            if message["status"] >= 400 and ERROR_RENDERED not in headers:
                self._replaced = True
                allow = {"allow": headers["allow"]} if "allow" in headers else {}
                await self.fail(message["status"], framework_error(message["status"]), allow)
                return
            del headers[ERROR_RENDERED]
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
