"""Requests sent byte by byte over a socket of their own, and whatever comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import h11

MARKER = "zebracrossing"
"""The leak marker stands in every hostile text: wherever it turns up in an answer or a log, a user's text could."""

ANSWER_TIMEOUT_S = 30.0

STAY_S = 0.02
"""A client that goes away lets the server begin first, or it would have nothing to be gone from."""

_NO_LINGERING = struct.pack("ii", 1, 0)


class Ending(Enum):
    """What a client does once it has sent its last byte."""

    WAIT = "waits for the answer"
    HALF_CLOSE = "closes its half of the connection, then waits"
    CLOSE = "goes away"
    RESET = "resets the connection"


@dataclass(frozen=True)
class Attack:
    """One connection of a hostile client.

    Attributes:
        kind: what the counts of a run are kept by.
        chunks: sent one after the other.
        allowed: for each answer that is due, in order, the statuses that are right.
        pause_s: between chunks.
        optional: whether it is also right that no answer comes, for a client that does not stay to read it.
        plain: whether the answer may lack the error schema and a request id: what is not HTTP never reaches the
            application, so the HTTP parser answers.
        errors_at: where a 200 is right, the places of the texts that must have an error of their own.
        results: how many results a 200 must have; None where it is not an answer of `/predict`.
        control: the text of a control request, whose answer must be what it was before the attack.
    """

    kind: str
    chunks: tuple[bytes, ...]
    allowed: tuple[frozenset[int], ...]
    pause_s: float = 0.0
    ending: Ending = Ending.WAIT
    optional: bool = False
    plain: bool = False
    errors_at: tuple[int, ...] = ()
    results: int | None = None
    control: str | None = None


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any] | None:
        """Its JSON object; None when it is none."""
        try:
            content = json.loads(self.body)
        except ValueError:
            return None
        return content if isinstance(content, dict) else None


@dataclass(frozen=True)
class Outcome:
    """What came back: answers in order, and in words what went wrong on the connection, if anything did."""

    answers: tuple[Answer, ...]
    trouble: str = ""


def one_of(*statuses: int) -> tuple[frozenset[int], ...]:
    """A single answer is due, with one of these statuses."""
    return (frozenset(statuses),)


def post(body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole request to `/predict`; `headers` are added, or take the place of the usual ones."""
    usual = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = ["POST /predict HTTP/1.1", *(f"{name}: {value}" for name, value in {**usual, **(headers or {})}.items())]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body


def as_json(content: Any) -> bytes:
    """JSON in ASCII: half a surrogate pair becomes an escape, as a client in another language would send it."""
    return json.dumps(content).encode()


async def send(attack: Attack, host: str, port: int) -> Outcome:
    """Carry an attack out."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return Outcome((), f"no connection: {type(error).__name__}")
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await _converse(attack, reader, writer)
    except TimeoutError:
        return Outcome((), f"no answer within {ANSWER_TIMEOUT_S:g} s")
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
    connection, answers = h11.Connection(h11.CLIENT), []
    try:
        while len(answers) < len(attack.allowed):
            answers.append(await read_answer(reader, connection))
            if connection.their_state is not h11.DONE or connection.our_state is not h11.DONE:
                break
            connection.start_next_cycle()
    except (ConnectionError, h11.RemoteProtocolError) as error:
        return Outcome(tuple(answers), f"{type(error).__name__}: {error}"[:100])
    return Outcome(tuple(answers))


async def read_answer(reader: asyncio.StreamReader, connection: h11.Connection | None = None) -> Answer:
    """The next answer; ConnectionError when the connection ends before or within it, or h11's when it is not HTTP."""
    connection = connection or h11.Connection(h11.CLIENT)
    # the parser wants to know of a request; what was sent in truth is none of its business
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
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
