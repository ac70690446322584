"""Sends an attack over a socket of its own, byte by byte as it says, and reads what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import h11

from benchmarks.attacks.attack import Attack, Ending

PATIENCE_S = 30.0
"""After so long without an answer there is none."""

STAY_S = 0.02
"""A client that goes away lets the server begin first, or it would have nothing to be gone from."""

_NO_LINGERING = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Outcome:
    """What came back: answers in order, and in words what went wrong on the connection, if anything did."""

    answers: tuple[Answer, ...]
    trouble: str = ""


async def send(attack: Attack, host: str, port: int) -> Outcome:
    """Carry an attack out."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return Outcome((), f"no connection: {type(error).__name__}")
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await _converse(attack, reader, writer)
    except TimeoutError:
        return Outcome((), f"no answer within {PATIENCE_S:g} s")
    finally:
        if attack.ending is Ending.RESET:
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
        await leave(writer)


async def _converse(attack: Attack, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Outcome:
    with contextlib.suppress(ConnectionError):  # the server may have answered and closed before the last byte
        for number, chunk in enumerate(attack.chunks):
            if number and attack.pause_s:
                await asyncio.sleep(attack.pause_s)
            writer.write(chunk)
            await writer.drain()
        if attack.ending is Ending.HALF_CLOSE:
            writer.write_eof()
    if attack.ending in (Ending.CLOSE, Ending.RESET):
        await asyncio.sleep(STAY_S)
        return Outcome(())
    return await _read(reader, len(attack.allowed))


async def _read(reader: asyncio.StreamReader, count: int) -> Outcome:
    connection = h11.Connection(h11.CLIENT)
    answers: list[Answer] = []
    try:
        while len(answers) < count:
            answers.append(await read_answer(expect_answer(connection), reader))
            if connection.their_state is not h11.DONE or connection.our_state is not h11.DONE:
                break
            connection.start_next_cycle()
    except (ConnectionError, h11.RemoteProtocolError) as error:
        return Outcome(tuple(answers), f"{type(error).__name__}: {error}"[:100])
    return Outcome(tuple(answers))


def expect_answer(connection: h11.Connection) -> h11.Connection:
    """Tell the parser of a request, which it wants to know of; what was sent in truth is none of its business."""
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    return connection


async def read_answer(connection: h11.Connection, reader: asyncio.StreamReader) -> Answer:
    """The next answer.

    Raises:
        ConnectionError: when the connection ends before it, or within it.
        h11.RemoteProtocolError: when it is not HTTP.
    """
    status, headers, body = 0, {}, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(65536)
            if not data and not status:
                raise ConnectionResetError("closed without an answer")
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, headers, bytes(body))


async def leave(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever still waits to be sent."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
