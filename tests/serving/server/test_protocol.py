"""Connections below the application, with the event loop in hand: bytes arrive in the very moment of a closure."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from functools import partial
from types import SimpleNamespace

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from serving.server.protocol import (
    MAX_HEAD_BYTES,
    BoundedProtocol,
    early_rejection,
    find_server,
    use_bounded_protocol,
)
from serving.settings import Settings
from serving.state import ServiceState
from serving.telemetry.metrics import Metrics
from shared.errors import OverloadedError

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"


async def echo(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    headers = [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Connection:
    """Both ends of a connection; what the client sends waits in the kernel until the event loop turns."""

    async def __aenter__(self) -> Connection:
        config = uvicorn.Config(echo, log_config=None)
        config.load()
        state, ends = ServerState(), []

        def make() -> BoundedProtocol:
            ends.append(BoundedProtocol(config, state, {}))
            return ends[-1]

        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(make, "127.0.0.1", 0)
        self.client = socket.create_connection(self.server.sockets[0].getsockname())
        while not ends or ends[0].transport is None:
            await asyncio.sleep(0.01)
        self.protocol = ends[0]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.client.close()
        self.protocol.transport.abort()
        self.server.close()

    async def everything(self) -> bytes:
        """All that the server says until it closes."""
        self.client.settimeout(5)
        said = b""
        while piece := await asyncio.to_thread(self.client.recv, 65536):
            said += piece
        return said


def in_connection(scenario):
    async def whole():
        async with Connection() as connection:
            return await scenario(connection)

    return asyncio.run(whole())


@pytest.mark.parametrize("closing", ["shutdown", "timeout_keep_alive_handler"])
def test_a_request_that_arrives_while_its_connection_is_closed_is_answered(closing):
    async def scenario(connection):
        connection.client.sendall(REQUEST)
        getattr(connection.protocol, closing)()
        return await connection.everything()

    assert in_connection(scenario).endswith(b"\r\n\r\nhi")


@pytest.mark.parametrize("closing", ["shutdown", "timeout_keep_alive_handler"])
def test_a_connection_on_which_nothing_arrived_is_closed(closing):
    async def scenario(connection):
        getattr(connection.protocol, closing)()
        return await connection.everything()

    assert in_connection(scenario) == b""


def test_a_half_request_at_the_end_of_the_server_does_not_keep_it(monkeypatch):
    monkeypatch.setattr("serving.server.protocol.READ_ON_S", 0.1)

    async def scenario(connection):
        connection.client.sendall(REQUEST[:10])
        connection.protocol.shutdown()
        return await connection.everything()

    assert in_connection(scenario) == b""


@pytest.mark.parametrize(
    ("start", "unit"),
    [
        (b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
        (b"GET / HTTP/1.1\r\nX: ", b"x"),
        (b"GET /", b"x"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n", b"X: y\r\n"),
    ],
)
def test_a_head_without_end_is_refused_and_not_kept(monkeypatch, start, unit):
    monkeypatch.setattr("serving.server.protocol.READ_ON_S", 0.1)

    async def scenario(connection):
        for piece in (start, *[unit * (2 * MAX_HEAD_BYTES // len(unit) // 8)] * 8):
            await asyncio.to_thread(connection.client.sendall, piece)
        said = await connection.everything()
        return said, len(connection.protocol.headers)

    said, kept = in_connection(scenario)
    assert said.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b'"error": "too_large"' in said
    assert kept <= 2 * MAX_HEAD_BYTES // len(b"X: y\r\n")


def test_a_head_just_below_the_limit_is_served():
    head = REQUEST.replace(b"Host: x", b"Host: x\r\nX: " + b"x" * (MAX_HEAD_BYTES - 200))

    async def scenario(connection):
        connection.client.sendall(head)
        return await connection.everything()

    assert in_connection(scenario).startswith(b"HTTP/1.1 200 OK")


def test_garbage_is_refused_in_the_one_form_but_not_before_the_answer_that_is_under_way(monkeypatch):
    monkeypatch.setattr("serving.server.protocol.READ_ON_S", 0.1)

    async def scenario(connection, sent):
        connection.client.sendall(sent)
        return await connection.everything()

    refused = in_connection(lambda connection: scenario(connection, b"\x00\x01\r\n\r\n"))
    assert refused.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n")
    assert b"x-request-id: " in refused
    assert b'{"error": "bad_request", "error_type": "BadRequestError", "detail": ' in refused
    both = in_connection(lambda connection: scenario(connection, REQUEST + b"\x00\x01\r\n\r\n"))
    assert both.startswith(b"HTTP/1.1 200 OK\r\n")
    assert both.endswith(b"hi")


def uvicorn_server(http: str) -> uvicorn.Server:
    server = uvicorn.Server(uvicorn.Config(echo, log_config=None, http=http))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    return server


def test_a_server_that_speaks_httptools_is_changed():
    server = uvicorn_server("httptools")
    assert server.config.http_protocol_class is HttpToolsProtocol
    assert find_server(server.handle_exit) is server
    use_bounded_protocol(server, lambda *_: None)
    assert server.config.http_protocol_class.func is BoundedProtocol


def test_a_server_that_is_not_found_or_speaks_otherwise_is_left_with_an_error_in_the_log(caplog):
    assert find_server(signal.SIG_DFL) is None
    assert "no uvicorn.Server with config, server_state, lifespan, handle_exit behind the handler" in caplog.text
    use_bounded_protocol(None, lambda *_: None)
    server = uvicorn_server("h11")
    before = server.config.http_protocol_class
    use_bounded_protocol(server, lambda *_: None)
    assert server.config.http_protocol_class is before
    assert "in place of HttpToolsProtocol: heads have no limit" in caplog.text


FULL = OverloadedError("the queue is full (8 texts).", retry_after_s=3)


def state_that_rejects(error: OverloadedError | None) -> ServiceState:
    state = ServiceState()
    state.settings, state.metrics = Settings(), Metrics()
    state.admission = SimpleNamespace(reject_early=lambda *_: error)  # type: ignore[assignment]
    return state


def test_an_early_rejection_follows_the_error_schema_and_is_counted():
    state = state_that_rejects(FULL)
    rejection = early_rejection(state, b"POST", b"/predict", [(b"host", b"x"), (b"x-request-id", b"abc-1")], "10.0.0.1")
    head, _, body = rejection.partition(b"\r\n\r\n")
    assert set(head.split(b"\r\n")) == {
        b"content-type: application/json", b"content-length: %d" % len(body), b"x-request-id: abc-1", b"retry-after: 3",
    }  # fmt: skip
    assert json.loads(body) == {
        "error": "overloaded", "error_type": "OverloadedError", "detail": "the queue is full (8 texts).",
    }  # fmt: skip
    assert b'emotion_requests_total{route="/predict",status="429"} 1.0' in state.metrics.render()


def test_who_is_not_rejected_or_comes_before_the_start_passes():
    assert early_rejection(state_that_rejects(None), b"POST", b"/predict", [], "") is None
    assert early_rejection(ServiceState(), b"POST", b"/predict", [], "") is None


async def say_ok(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def test_a_connection_goes_on_after_a_rejection_whose_body_is_thrown_away():
    async def scenario() -> bytes:
        state = state_that_rejects(FULL)
        config = uvicorn.Config(say_ok, log_config=None, http="httptools")
        config.load()
        make = partial(BoundedProtocol, config, ServerState(), {}, reject_early=partial(early_rejection, state))
        server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nabc")
        said = await asyncio.wait_for(reader.readuntil(b'(8 texts)."}'), 5)
        state.admission = SimpleNamespace(reject_early=lambda *_: None)  # type: ignore[assignment]
        writer.write(b"defPOST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi")
        said += await asyncio.wait_for(reader.readuntil(b"ok"), 5)
        writer.close()
        server.close()
        return said

    said = asyncio.run(scenario())
    assert said.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert said.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 200 OK\r\n" in said
