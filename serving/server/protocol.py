"""HTTP below the application: bounds what the parser collects, answers what is not HTTP, closes no request away.

uvicorn's parser httptools has no limit for a head, answers garbage in plain text, and its connections are closed
without a look at whether a request has just arrived on them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.admission import RawHeaders
from serving.http.middleware import record, request_id
from serving.http.responses import error_response
from serving.state import ServiceState

logger = logging.getLogger("emotion.server")

MAX_HEAD_BYTES = 64 * 1024
"""Of a request line with its headers, and of a chunked body's trailers; uvicorn's other parser has the same limit."""

READ_ON_S = 1.0
"""Time for a client to read why it is rejected, and for the rest of a request whose connection was to be closed."""

RejectEarly = Callable[[bytes, bytes, RawHeaders, str], bytes | None]
"""Method, URL, headers and address of the peer -> head and body of a 429 without its status line, or None to go on."""

_REJECTIONS = {
    400: ("Bad Request", "bad_request", "BadRequestError", "this is not valid HTTP."),
    431: (
        "Request Header Fields Too Large", "too_large", "TooLargeError",
        f"the head of the request is longer than {MAX_HEAD_BYTES} bytes.",
    ),
}  # fmt: skip


def find_server(handler: Any) -> Any:
    """The `uvicorn.Server` whose signal handler this is, since BentoML makes it and shows it to nobody; else None.

    An error in the log says what the service then goes without.
    """
    server = getattr(handler, "__self__", None)
    used = ("config", "server_state", "lifespan", "handle_exit")
    missing = [name for name in used if not hasattr(server, name)]
    if not missing:
        return server
    logger.error(
        "no uvicorn.Server with %s behind the handler of SIGTERM (uvicorn %s): "
        "heads have no limit of size, rejecting under overload is slower, and the drain looks at no connection",
        ", ".join(used), version("uvicorn"),
    )  # fmt: skip
    return None


def use_bounded_protocol(server: Any, reject_early: RejectEarly) -> None:
    """Have a uvicorn server speak `BoundedProtocol`, which BentoML offers no way to choose.

    uvicorn looks its protocol up for every connection. Another one than httptools' is left, with an error in the log.
    """
    if server is None:
        return
    if server.config.http_protocol_class is HttpToolsProtocol:
        server.config.http_protocol_class = partial(BoundedProtocol, reject_early=reject_early)
    else:
        logger.error(
            "uvicorn speaks %s in place of HttpToolsProtocol: heads have no limit of ours, and rejecting is slower",
            server.config.http_protocol_class,
        )


def early_rejection(state: ServiceState, method: bytes, url: bytes, headers: RawHeaders, peer: str) -> bytes | None:
    """What `AdmissionControl.reject_early` decides, rendered, counted and logged as every other answer is."""
    if not state.is_open:
        return None
    started = time.perf_counter()
    error = state.admission.reject_early(method, url, headers)
    if error is None:
        return None
    named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    status, body, extra = error_response(error)
    lines = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "x-request-id": request_id(named.get("x-request-id", "")),
        **extra,
    }
    record(
        state, url.decode(), "POST", status, request_id=lines["x-request-id"], seconds=time.perf_counter() - started,
        peer=peer, headers=named,
    )  # fmt: skip
    return "".join(f"{key}: {value}\r\n" for key, value in lines.items()).encode("latin-1") + b"\r\n" + body


class _Answered:
    """In the place of a request's cycle: its answer is out, what still comes of its body is thrown away."""

    response_complete = True
    more_body = False
    message_event = asyncio.Event()


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        reject_early: rejects requests by their heads; None lets all of them pass.
    """

    _unused = 0
    """Bytes since the parser last had something to show for them: a head, a piece of a body, the end of a request."""

    _rejected = False

    def __init__(self, *arguments: Any, reject_early: RejectEarly | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._reject_early = reject_early

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        if self._rejected:
            return
        self._unused += len(data)
        super().data_received(data)
        if self._unused > MAX_HEAD_BYTES and not self._rejected and not self.transport.is_closing():
            self._reject(431)

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._unused = 0
        rejection = self._early_rejection()
        if rejection is None:
            super().on_headers_complete()
            return
        usual = b"".join(b"%b: %b\r\n" % header for header in self.server_state.default_headers)
        self.transport.write(STATUS_LINE[429] + usual + rejection)
        self.on_response_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body is there."""
        self._unused = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._unused = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is out: what was kept of its request goes, as the connection may stay open for long."""
        super().on_response_complete()
        if not self._answering:
            self.cycle = _Answered()  # type: ignore[assignment]

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, but let a request before it have its own answer first."""
        if self._answering and not self.cycle.more_body:
            self.cycle.keep_alive = False
            self.flow.pause_reading()
        else:
            self._reject(400)

    def shutdown(self) -> None:
        """The server ends: close the connection after the answer under way, or at once when there is none."""
        if self._has_unread_bytes():
            self.loop.call_later(READ_ON_S, super().shutdown)
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Nobody asked anything for a while."""
        if not self._has_unread_bytes():
            super().timeout_keep_alive_handler()

    def _early_rejection(self) -> bytes | None:
        """A 429 for a plain request on a connection that stays open; None lets it pass."""
        plain = self.parser.should_keep_alive() and not self.expect_100_continue and not self._answering
        if self._reject_early is None or not plain:
            return None
        peer = self.client[0] if self.client else ""
        return self._reject_early(self.parser.get_method(), self.url, self.headers, peer)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _has_unread_bytes(self) -> bool:
        """Whether bytes have arrived that the event loop has yet to read; closing now would throw them away."""
        if self._answering or self.transport.is_closing():
            return False
        number = self.transport.get_extra_info("socket").fileno()
        with (
            contextlib.suppress(OSError),
            socket.socket(fileno=os.dup(number)) as own,  # uvloop's stand-ins for sockets cannot receive
        ):
            return bool(own.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        return False

    def _reject(self, status: int) -> None:
        """Answer, then read on for a moment: to close before a client has sent all would take its answer away."""
        reason, error, error_type, detail = _REJECTIONS[status]
        body = json.dumps({"error": error, "error_type": error_type, "detail": detail})
        head = (
            f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {uuid.uuid4().hex}\r\nconnection: close\r\n\r\n"
        )
        self._rejected = True
        self.transport.write(f"{head}{body}".encode())
        self.transport.write_eof()
        self.loop.call_later(READ_ON_S, self.transport.close)
