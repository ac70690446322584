"""Many callers of a few replicas, some eager and some slow, that know what became of every request."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import h11

from tests.system.sockets import ANSWER_TIMEOUT_S, Answer, as_json, leave, post, read_answer

NOT_READY = 503
"""A server that starts or ends says so, and any balancer then asks the next one."""

RETRY_S = 0.02
"""Between two rounds over all replicas."""

LONGEST_PAUSE_S = 3.0
"""Of a slow caller, whose connection stays open: longer than a server's drain, shorter than its keep-alive."""


@dataclass(frozen=True)
class Request:
    """The bytes of one request, and the status that is right."""

    data: bytes
    expected: int


WRONG = (
    Request(post(b"{"), 400),
    Request(post(as_json({"texts": []})), 422),
    Request(post(as_json({"text": ""})), 422),
)


def good_requests(texts: Sequence[str], count: int, seed: int) -> list[Request]:
    """`count` requests of one to four texts."""
    draw = Random(seed)
    return [Request(post(as_json({"texts": draw.sample(texts, draw.randint(1, 4))})), 200) for _ in range(count)]


@dataclass
class Tally:
    """Counts of a run.

    A request is lost when its bytes went out on an open connection and no whole HTTP answer came back. Where nobody
    listened, or where the server had closed its side of an idle connection before the first byte went out, nothing was
    taken on, so nothing is lost: the request goes to the next server.

    Attributes:
        unexpected: answers with another status than the right one, by status.
        seals: good answers, by the seal of the bundle that gave them.
        refused: connections that were refused.
        closed: idle connections that the server had closed.
    """

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    unexpected: Counter[int] = field(default_factory=Counter)
    seals: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    refused: int = 0
    closed: int = 0

    @property
    def done(self) -> int:
        """Requests whose end is known."""
        return self.statuses.total() + len(self.lost)

    def note(self, request: Request, answer: Answer) -> None:
        self.statuses[answer.status] += 1
        if answer.status != request.expected:
            self.unexpected[answer.status] += 1
        if answer.status == 200:
            self.seals[(answer.json() or {})["model"]] += 1


class Caller:
    """Asks the first replica that listens, and keeps its connection."""

    def __init__(self, addresses: Sequence[tuple[str, int]], tally: Tally) -> None:
        self._addresses, self._tally, self._at = addresses, tally, 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Request) -> None:
        """Send one request, and note its answer or its loss."""
        reader, writer = await self._connection()
        self._tally.sent += 1
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                writer.write(request.data)
                await writer.drain()
                answer = await read_answer(reader)
        except (OSError, h11.RemoteProtocolError, TimeoutError) as error:
            self._tally.lost.append(f"{type(error).__name__}: {error}")
            await self.close()
            return
        self._tally.note(request, answer)
        if answer.headers.get("connection") == "close" or answer.status == NOT_READY:
            await self.close()
        if answer.status == NOT_READY:
            self._next()

    async def close(self) -> None:
        if self._streams is not None:
            await leave(self._streams[1])
        self._streams = None

    def _next(self) -> None:
        self._at = (self._at + 1) % len(self._addresses)

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        await asyncio.sleep(0)  # the event loop hears of a connection that was closed
        if self._streams is not None and self._streams[0].at_eof():
            self._tally.closed += 1
            await self.close()
        if self._streams is None:
            self._streams = await self._connect()
        return self._streams

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        end = loop.time() + ANSWER_TIMEOUT_S
        while loop.time() < end:
            for _ in self._addresses:
                with contextlib.suppress(ConnectionError):
                    return await asyncio.open_connection(*self._addresses[self._at])
                self._tally.refused += 1
                self._next()
            await asyncio.sleep(RETRY_S)
        raise AssertionError(f"no server listens on any of {self._addresses} for {ANSWER_TIMEOUT_S:g} s")


class Crowd:
    """Callers that ask until they are told to stop; every second one is slow, so that connections are idle."""

    def __init__(
        self, addresses: Sequence[tuple[str, int]], requests: Sequence[Request], clients: int, seed: int
    ) -> None:
        self.tally = Tally()
        self._addresses, self._requests, self._clients, self._seed = addresses, requests, clients, seed
        self._working = True

    async def run(self, least: int, operate: Callable[[Crowd], Awaitable[None]]) -> None:
        """Ask at least so many times, and for as long as `operate` takes."""
        callers = [asyncio.create_task(self._ask(number)) for number in range(self._clients)]
        try:
            await operate(self)
            await self.reached(least)
        finally:
            self._working = False
            await asyncio.gather(*callers)

    async def reached(self, requests: int) -> None:
        """Wait until so many requests have come to an end."""
        while self.tally.done < requests:
            await asyncio.sleep(0.01)

    async def _ask(self, number: int) -> None:
        draw = Random(self._seed * 1000 + number)
        caller = Caller(self._addresses, self.tally)
        while self._working:
            await caller.ask(draw.choice(self._requests))
            if number % 2:
                await asyncio.sleep(draw.uniform(0, LONGEST_PAUSE_S))
        await caller.close()
