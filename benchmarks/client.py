"""What requests carry, and the HTTP client that sends them, checks the answers and names the outcomes."""

from __future__ import annotations

import ipaddress
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp

from benchmarks.traffic import BROKEN, OK, REFUSED, TIMEOUT, WRONG
from shared.errors import ConfigError, DataFormatError, EmptyDataError, NotReadyError
from shared.tables import TableOptions, open_table


def read_texts(path: Path | None) -> list[str]:
    """Texts of a table, or of the embedded corpus when None.

    The column `text`, else the first; a `.tsv` has no header and its texts first, as GoEmotions has it.

    Raises:
        DataError: when the file is not there, cannot be read, or holds no text.
    """
    if path is None:
        from training.config.data import SourceConfig
        from training.data.sources.sample import read_sample

        return [str(text) for split in read_sample(SourceConfig(kind="sample")).splits.values() for text in split.texts]
    options = TableOptions(header=False) if path.suffix == ".tsv" else TableOptions()
    rows = open_table(path, options).read_all()
    column = rows.columns.get("text", next(iter(rows.columns.values())))
    for number, text in zip(rows.numbers, column, strict=True):
        if not isinstance(text, str):
            raise DataFormatError(f"{path}, {rows.unit} {number}: {text!r} is no text.")
    texts = [text for text in column if text.strip()]
    if not texts:
        raise EmptyDataError(f"{path} holds no text.")
    return texts


class Form(NamedTuple):
    """How a server is asked: the path, and what the lists of texts and of answers are called."""

    path: str = "/predict"
    texts: str = "texts"
    answers: str = "results"
    ready: str = "/readyz"  # answers 200 once requests are


PREDICT = Form()
"""The service's own."""


def request_bodies(
    texts: Sequence[str], texts_per_request: int, seed: int = 0, *, field: str = PREDICT.texts
) -> Iterator[bytes]:
    """Bodies without end: the texts, as `field`, in a shuffled order, shuffled anew when all were used."""
    stream = _shuffled(texts, seed)
    while True:
        yield json.dumps({field: list(islice(stream, texts_per_request))}).encode()


def _shuffled(texts: Sequence[str], seed: int) -> Iterator[str]:
    shuffler, order = random.Random(seed), list(texts)
    while True:
        shuffler.shuffle(order)
        yield from order


@dataclass(frozen=True)
class Target:
    """The service under load."""

    url: str  # its root
    form: Form = PREDICT  # how it is asked
    headers: Mapping[str, str] = field(default_factory=dict)  # sent with every request
    timeout_s: float = 10.0  # after which a request is given up
    texts_per_request: int = 1  # an answer must have as many results
    connections: int = 0  # most at a time; 0: no limit, so that it is the service that is seen to queue


class Client:
    """A pool of connections to one target, within `async with`."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._url = target.url.rstrip("/") + target.form.path

    async def __aenter__(self) -> Self:
        # shorter than servers keep connections, or one may be closed in the moment it is used again
        connector = aiohttp.TCPConnector(limit=self.target.connections, keepalive_timeout=3)
        timeout = aiohttp.ClientTimeout(total=self.target.timeout_s)
        headers = {"content-type": "application/json", **self.target.headers}
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers)
        return self

    async def __aexit__(self, *error: object) -> None:
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
        """Whether there is one result for each text, in the object's list of answers or in a plain list."""
        try:
            content = json.loads(answer)
        except ValueError:
            return False
        results = content.get(self.target.form.answers) if isinstance(content, dict) else content
        return isinstance(results, list) and len(results) == self.target.texts_per_request


def wait_until_ready(
    url: str, seconds: float, is_alive: Callable[[], bool] = lambda: True, *, path: str = PREDICT.ready
) -> None:
    """Wait for `path` to answer 200.

    Raises:
        NotReadyError: when it does not within `seconds`, or `is_alive` says that it never will.
    """
    end, said = time.monotonic() + seconds, "no answer"
    while True:
        try:
            with urllib.request.urlopen(url.rstrip("/") + path, timeout=2):
                return
        except urllib.error.HTTPError as error:
            said = f"status {error.code}"
        except OSError:
            said = "no answer"
        if time.monotonic() >= end or not is_alive():
            raise NotReadyError(
                f"{url}{path} is not ready after {seconds:g} s: {said}.",
                hint="Start the service first, for example with `make serve`.",
            )
        time.sleep(0.2)


def check_loopback(url: str) -> None:
    """Make sure that load stays on this machine.

    Raises:
        ConfigError: for an address elsewhere, or none at all.
    """
    host = urlsplit(url).hostname
    if not host:
        raise ConfigError(f"{url!r} is no address.", hint="Give it like http://127.0.0.1:3000.")
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise ConfigError(
            f"{host} is not this machine.", hint="Add --allow-remote if its owner agreed to be put under load."
        )
