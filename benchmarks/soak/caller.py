"""One client of a few replicas: keeps its connection, moves on when it is refused, and knows what was lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import h11

from benchmarks.attacks.sender import PATIENCE_S, Answer, expect_answer, leave, read_answer
from benchmarks.soak.tally import Request, Tally
from shared.errors import NotReadyError

NOT_READY = 503
"""A server that starts or ends says so, and any balancer then asks the next one."""

RETRY_S = 0.02
"""Between two rounds over all replicas."""


class Caller:
    """Asks the first replica that listens.

    Args:
        addresses: hosts and ports of the replicas.
        tally: where everything is counted.
    """

    def __init__(self, addresses: Sequence[tuple[str, int]], tally: Tally) -> None:
        self._addresses = addresses
        self._tally = tally
        self._at = 0
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: Request) -> None:
        """Send one request, and note its answer or its loss.

        Raises:
            NotReadyError: when nobody listens any more.
        """
        reader, writer = await self._connection()
        self._tally.sent += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await _exchange(request.data, reader, writer)
        except (OSError, h11.RemoteProtocolError, TimeoutError) as error:
            self._tally.lost.append(f"{type(error).__name__}: {error}")
            await self.close()
            return
        self._tally.note(request, answer)
        if answer.headers.get("connection") == "close":
            await self.close()
        if answer.status == NOT_READY:
            await self.close()
            self._next()

    async def close(self) -> None:
        """Let go of the connection."""
        if self._writer is not None:
            await leave(self._writer)
        self._reader = self._writer = None

    def _next(self) -> None:
        self._at = (self._at + 1) % len(self._addresses)

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        await asyncio.sleep(0)  # the event loop hears of a connection that was closed
        if self._reader is not None and self._reader.at_eof():
            self._tally.closed += 1
            await self.close()
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await self._connect()
        return self._reader, self._writer

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE_S
        while loop.time() < end:
            for _ in self._addresses:
                with contextlib.suppress(ConnectionError):
                    return await asyncio.open_connection(*self._addresses[self._at])
                self._tally.refused += 1
                self._next()
            await asyncio.sleep(RETRY_S)
        raise NotReadyError(f"no server listens on any of {self._addresses} for {PATIENCE_S:g} s.")


async def _exchange(data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
    writer.write(data)
    await writer.drain()
    return await read_answer(expect_answer(h11.Connection(h11.CLIENT)), reader)
