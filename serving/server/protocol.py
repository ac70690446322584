"""HTTP below the application: bounds what the parser collects, answers what is not HTTP, closes no request away.

uvicorn's parser httptools has no limit for a head, answers garbage in plain text, and its connections are closed
without a look at whether a request has just arrived on them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import uuid
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.server.door import Door

MAX_HEAD_BYTES = 64 * 1024
"""Of a request line with its headers, and of a chunked body's trailers; uvicorn's other parser has the same limit."""

LAST_WORDS_S = 1.0
"""Time for a client to read why it is refused, and for the rest of a request whose connection was to be closed."""

_REFUSALS = {
    400: ("Bad Request", "bad_request", "BadRequestError", "this is not valid HTTP."),
    431: (
        "Request Header Fields Too Large", "too_large", "TooLargeError",
        f"the head of the request is longer than {MAX_HEAD_BYTES} bytes.",
    ),
}  # fmt: skip


def use_bounded_protocol(server_handler: Any, door: Door) -> None:
    """Have the uvicorn server whose signal handler this is speak `BoundedProtocol`; nothing for another server.

    BentoML starts uvicorn itself and offers no way to choose a protocol; uvicorn looks it up for every connection.
    """
    config = getattr(getattr(server_handler, "__self__", None), "config", None)
    if getattr(config, "http_protocol_class", None) is HttpToolsProtocol:
        config.http_protocol_class = partial(BoundedProtocol, door=door)  # type: ignore[union-attr]


class _Answered:
    """In the place of a request's cycle: its answer is out, what still comes of its body is thrown away."""

    response_complete = True
    more_body = False
    message_event = asyncio.Event()


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        door: refuses requests by their heads; None lets all of them in.
    """

    _unused = 0
    """Bytes since the parser last had something to show for them: a head, a piece of a body, the end of a request."""

    _refused = False

    def __init__(self, *arguments: Any, door: Door | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._door = door

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        if self._refused:
            return
        self._unused += len(data)
        super().data_received(data)
        if self._unused > MAX_HEAD_BYTES and not self._refused and not self.transport.is_closing():
            self._refuse(431)

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._unused = 0
        refusal = self._refusal()
        if refusal is None:
            super().on_headers_complete()
            return
        usual = b"".join(b"%b: %b\r\n" % header for header in self.server_state.default_headers)
        self.transport.write(STATUS_LINE[429] + usual + refusal)
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
            self._refuse(400)

    def shutdown(self) -> None:
        """The server ends: close the connection after the answer under way, or at once when there is none."""
        if self._is_called():
            self.loop.call_later(LAST_WORDS_S, super().shutdown)
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Nobody asked anything for a while."""
        if not self._is_called():
            super().timeout_keep_alive_handler()

    def _refusal(self) -> bytes | None:
        """What the door says to a plain request on a connection that stays open; None lets it in."""
        plain = self.parser.should_keep_alive() and not self.expect_100_continue and not self._answering
        if self._door is None or not plain:
            return None
        return self._door.refusal(self.parser.get_method(), self.url, self.headers)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_called(self) -> bool:
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

    def _refuse(self, status: int) -> None:
        """Answer, then read on for a moment: to close before a client has sent all would take its answer away."""
        reason, error, error_type, detail = _REFUSALS[status]
        body = json.dumps({"error": error, "error_type": error_type, "detail": detail})
        head = (
            f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {uuid.uuid4().hex}\r\nconnection: close\r\n\r\n"
        )
        self._refused = True
        self.transport.write(f"{head}{body}".encode())
        self.transport.write_eof()
        self.loop.call_later(LAST_WORDS_S, self.transport.close)
