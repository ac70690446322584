"""Many callers at once, some eager and some slow, for as long as an operator is at work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from benchmarks.soak.caller import Caller
from benchmarks.soak.tally import Request, Tally

LONGEST_PAUSE_S = 3.0
"""Of a slow caller, whose connection stays open: longer than a server's drain, shorter than its keep-alive."""

LOOK_S = 0.01


class Crowd:
    """Callers that ask until they are told to stop; every second one is slow.

    Args:
        addresses: hosts and ports of the replicas.
        requests: drawn from at random.
        clients: callers.
        seed: of what is drawn.
    """

    def __init__(
        self, addresses: Sequence[tuple[str, int]], requests: Sequence[Request], clients: int, seed: int
    ) -> None:
        self.tally = Tally()
        self._addresses = addresses
        self._requests = requests
        self._clients = clients
        self._seed = seed
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
            await asyncio.sleep(LOOK_S)

    async def _ask(self, number: int) -> None:
        random = Random(self._seed * 1000 + number)
        caller = Caller(self._addresses, self.tally)
        while self._working:
            await caller.ask(random.choice(self._requests))
            if number % 2:
                await asyncio.sleep(random.uniform(0, LONGEST_PAUSE_S))
        await caller.close()
