"""One HTTP client for all loads: sends a body, checks the answer, and names the outcome."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from benchmarks.traffic.records import BROKEN, OK, REFUSED, TIMEOUT, WRONG
from shared.errors import ConfigError, NotReadyError

JSON_HEADERS = {"content-type": "application/json"}


@dataclass(frozen=True)
class Target:
    """The service under load.

    Attributes:
        url: its root.
        path: where texts are posted.
        headers: sent with every request.
        timeout_s: after which a request is given up.
        texts_per_request: an answer must have as many results.
        connections: most at a time; 0 is without limit, so that the client never queues what the service should be
            seen to queue. Waiting for a free one counts as latency.
    """

    url: str
    path: str = "/predict"
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 10.0
    texts_per_request: int = 1
    connections: int = 0


def check_loopback(url: str) -> None:
    """Make sure that load stays on this machine.

    Raises:
        ConfigError: for an address elsewhere, or none at all.
    """
    host = urlsplit(url).hostname
    if not host:
        raise ConfigError(f"{url!r} is no address.", hint="Give it like http://127.0.0.1:3000.")
    if host == "localhost":
        return
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise ConfigError(
            f"{host} is not this machine.", hint="Add --allow-remote if its owner agreed to be put under load."
        )


class Client:
    """A pool of connections to one target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._url = target.url.rstrip("/") + target.path
        self._headers = {**JSON_HEADERS, **target.headers}

    async def __aenter__(self) -> Self:
        # shorter than servers keep connections, or one may be closed in the moment it is used again
        connector = aiohttp.TCPConnector(limit=self.target.connections, keepalive_timeout=3)
        timeout = aiohttp.ClientTimeout(total=self.target.timeout_s)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, body: bytes) -> str:
        """Post one body; the outcome, see `Record`."""
        try:
            async with self._session.post(self._url, data=body) as response:
                answer = await response.read()
        except TimeoutError:
            return TIMEOUT
        except aiohttp.ClientConnectorError:
            return REFUSED
        except (aiohttp.ClientError, OSError):
            return BROKEN
        if response.status != 200:
            return f"http {response.status}"
        return OK if self._is_complete(answer) else WRONG

    def _is_complete(self, answer: bytes) -> bool:
        """Whether there is one result for each text, in an object's `results` or in a plain list."""
        try:
            content = json.loads(answer)
        except ValueError:
            return False
        results = content.get("results") if isinstance(content, dict) else content
        return isinstance(results, list) and len(results) == self.target.texts_per_request

    async def wait_until_ready(self, seconds: float) -> None:
        """Wait for `/readyz` to answer 200.

        Raises:
            NotReadyError: when it does not within `seconds`.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            status = await self._ready_status()
            if status == 200:
                return
            if loop.time() >= end:
                said = "no answer" if status is None else f"status {status}"
                raise NotReadyError(
                    f"{self.target.url}/readyz is not ready after {seconds:g} s: {said}.",
                    hint="Start the service first, for example with `make serve`.",
                )
            await asyncio.sleep(0.2)

    async def _ready_status(self) -> int | None:
        try:
            async with self._session.get(self.target.url.rstrip("/") + "/readyz") as response:
                return response.status
        except (aiohttp.ClientError, OSError):
            return None
