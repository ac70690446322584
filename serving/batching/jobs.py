"""What the batcher handles: workers that run the model, an observer, requests as jobs, texts as items, answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from serving.worker.wire import Tokens
from shared.errors import RequestError


class Worker(Protocol):
    """Runs the model beside the event loop; asked one thing at a time."""

    @property
    def ended(self) -> asyncio.Future[Any]:
        """Done when it is no longer there, for whatever reason."""
        ...

    async def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Token ids of N texts."""
        ...

    async def run(self, rows: Sequence[Tokens]) -> NDArray[np.float64]:
        """Probabilities of one padded batch, shape (N, L)."""
        ...

    async def ping(self) -> None:
        """Whether it still answers."""
        ...

    async def close(self) -> None:
        """End it; it is not asked again."""
        ...


class Observer(Protocol):
    """Measures what the batcher does; times in seconds."""

    def tokenised(self, num_texts: int, seconds: float) -> None:
        """Texts became tokens."""
        ...

    def ran(self, lengths: Sequence[int], waits: Sequence[float], seconds: float) -> None:
        """A batch of texts of these `lengths` in tokens ran, after its texts had waited for `waits`."""
        ...

    def crashed(self) -> None:
        """A model run raised."""
        ...

    def worker_lost(self, reason: str) -> None:
        """A worker is to be replaced: it `ended` or `hung`."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """The model's answer for one text: probabilities of shape (L,)."""

    probabilities: NDArray[np.float64]
    num_tokens: int
    truncated: bool


@dataclass(slots=True, eq=False)
class Job:
    """One request: its texts, and the future its caller waits for."""

    texts: Sequence[str]
    answer: asyncio.Future[list[Row | RequestError]]
    arrived: float
    rows: list[Row | RequestError | None] = field(init=False)
    missing: int = field(init=False)
    wanted: bool = True
    retried: bool = False
    """A worker was lost while it tokenised these texts."""

    def __post_init__(self) -> None:
        self.rows = [None] * len(self.texts)
        self.missing = len(self.texts)


@dataclass(slots=True, eq=False)
class Item:
    """One text of a job, tokenised."""

    job: Job
    position: int
    tokens: Tokens
    retried: bool = False
    """A worker was lost while it ran this text."""

    @property
    def length(self) -> int:
        """Number of tokens kept."""
        return self.tokens.length

    @property
    def wanted(self) -> bool:
        """Whether its caller still waits."""
        return self.job.wanted
