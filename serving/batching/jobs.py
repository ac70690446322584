"""What the batcher handles: workers that run the model, an observer, requests as jobs, texts as items, answers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from serving.worker.wire import Tokens
from shared.errors import InvalidInputError, OverloadedError, RequestError


class Worker(Protocol):
    """Runs the model beside the event loop; asked one thing at a time."""

    @property
    def ended(self) -> asyncio.Future[Any]:
        """Done when it is no longer there, for whatever reason."""
        ...

    async def encode(self, texts: Sequence[str], whole: Sequence[bool] = ()) -> list[Tokens]:
        """Token ids of N texts; in windows where `whole` says that all of a long text is read."""
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
    """The model's answer for one text.

    Attributes:
        probabilities: shape (L,); for a text read in windows, of every label that in the window which has most of it.
        num_tokens: of the whole text, special tokens included.
        truncated: whether its middle was left out.
        coverage: share of its tokens that the vocabulary knows.
        warnings: codes, see `serving.text_checks`.
        windows: probabilities of each window, shape (L,); empty for a text read in one.
    """

    probabilities: NDArray[np.float64]
    num_tokens: int
    truncated: bool
    coverage: float = 1.0
    warnings: tuple[str, ...] = ()
    windows: tuple[NDArray[np.float64], ...] = ()

    @classmethod
    def of(cls, probabilities: NDArray[np.float64], tokens: Tokens) -> Row:
        """The answer for a text, or for a window of it."""
        return cls(probabilities, tokens.num_tokens, tokens.truncated, tokens.coverage, tokens.warnings)

    def joined(self, other: Row) -> Row:
        """The answer for a text with one more of its windows."""
        windows = (*(self.windows or (self.probabilities,)), *(other.windows or (other.probabilities,)))
        return replace(self, probabilities=np.maximum(self.probabilities, other.probabilities), windows=windows)


@dataclass(slots=True, eq=False)
class Job:
    """One request: its texts, and the future its caller waits for.

    Attributes:
        texts: N of them.
        whole: which of them are read whole, in windows where they are long.
        missing: model runs that have no answer yet: one a text, and after tokenising one for each further window.
        held: what the queue counts it as.
    """

    texts: Sequence[str]
    whole: Sequence[bool]
    answer: asyncio.Future[list[Row | RequestError]]
    arrived: float
    rows: list[Row | RequestError | None] = field(init=False)
    missing: int = field(init=False)
    held: int = field(init=False)
    wanted: bool = True
    retried: bool = False
    """A worker was lost while it tokenised these texts."""

    def __post_init__(self) -> None:
        self.rows = [None] * len(self.texts)
        self.missing = self.held = len(self.texts)

    def take(self, position: int, answer: Row | RequestError) -> None:
        """One more answer, for a text or for one of its windows; an error is the answer for the whole text."""
        before = self.rows[position]
        if isinstance(before, Row) and isinstance(answer, Row):
            answer = before.joined(answer)
        if not isinstance(before, RequestError):
            self.rows[position] = answer
        self.missing -= 1
        if not self.missing and not self.answer.done():
            self.answer.set_result([row for row in self.rows if row is not None])


@dataclass(slots=True, eq=False)
class Item:
    """One text of a job, or a window of it, tokenised."""

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


def no_room(runs: int, room: int, most: int, wait_s: float) -> RequestError | None:
    """Why a request is not taken on; None where it is.

    Args:
        runs: model runs that it needs.
        room: runs that there is room for now.
        most: runs that there is ever room for.
        wait_s: time until what is held has run, in s.
    """
    if runs <= room:
        return None
    needed = f"the request needs {runs} model runs, one for each window of a long text"
    if runs <= most:
        hint = "Try again later, or send fewer or shorter texts at once."
        retry_after_s = max(1, math.ceil(wait_s))
        message = f"{needed}; the queue has room for {max(0, room)} of {most}."
        return OverloadedError(message, retry_after_s=retry_after_s, hint=hint)
    hint = 'Send fewer or shorter texts at once, or long_texts: "head_tail".'
    return InvalidInputError(f"{needed}; allowed: at most {most}.", hint=hint)
