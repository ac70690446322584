"""What the batcher handles: workers that run the model, an observer, requests as jobs, texts as items, answers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from serving.batching.fairness import Pace, due_times, spread_s
from serving.worker.wire import Tokens
from shared.errors import DeadlineError, InvalidInputError, NotReadyError, OverloadedError, RequestError


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
        arrived: when it came, in s.
        timeout_s: time until its deadline.
        missing: model runs that have no answer yet: one a text, and after tokenising one for each further window.
        tokens: of those runs; an estimate before tokenising.
        spread_s: time over which they are due.
    """

    texts: Sequence[str]
    whole: Sequence[bool]
    answer: asyncio.Future[list[Row | RequestError]]
    arrived: float
    timeout_s: float
    rows: list[Row | RequestError | None] = field(init=False)
    missing: int = field(init=False)
    tokens: float = field(init=False)
    spread_s: float = field(init=False)
    _all_tokens: float = field(init=False)
    wanted: bool = True
    alone: bool = False
    """Its texts are tokenised without others': they may be what a worker was lost by, or what tokenising failed on."""
    retried: bool = False
    """A worker was lost while it tokenised these texts."""

    def __post_init__(self) -> None:
        self.rows = [None] * len(self.texts)
        self.missing = len(self.texts)

    def plan(self, tokens: float, pace: Pace) -> None:
        """Set over which time its runs are due, which have so many tokens."""
        self.tokens = self._all_tokens = tokens
        self.spread_s = spread_s(tokens * pace.seconds_per_token, self.timeout_s)

    def tokens_later(self, time: float) -> float:
        """How many of the tokens that have no answer yet are due after `time`."""
        left_s = self.arrived + self.spread_s - time
        return min(self.tokens, self._all_tokens * min(1.0, left_s / self.spread_s)) if left_s > 0 else 0.0

    def take(self, position: int, answer: Row | RequestError, num_tokens: int) -> None:
        """One more answer, for a text or for one of its windows; an error is the answer for the whole text."""
        before = self.rows[position]
        if isinstance(before, Row) and isinstance(answer, Row):
            answer = before.joined(answer)
        if not isinstance(before, RequestError):
            self.rows[position] = answer
        self.missing -= 1
        self.tokens -= num_tokens
        if not self.missing and not self.answer.done():
            self.answer.set_result([row for row in self.rows if row is not None])

    def fail(self) -> None:
        """Every text has an error: the model could not be asked about them."""
        if not self.answer.done():
            self.answer.set_result([crash_error()] * len(self.texts))

    def expire(self) -> None:
        """Its deadline has passed."""
        self.wanted = False
        if not self.answer.done():
            message = f"no answer within the deadline of {self.timeout_s * 1000:.0f} ms."
            self.answer.set_exception(DeadlineError(message))


@dataclass(slots=True, eq=False)
class Item:
    """One text of a job, or a window of it, tokenised."""

    job: Job
    position: int
    tokens: Tokens
    due: float
    """When its turn is; see `serving.batching.fairness`."""
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


def items_of(job: Job, texts: Sequence[Tokens], pace: Pace) -> list[Item]:
    """The runs of a job, one for each of its N texts or for each of their windows; it is planned by them.

    The short ones are due first: a batch takes texts of similar length, which are then due at about the same time. In
    the order of the request it would take texts due much later, and what is due would wait for them.
    """
    windows = [(place, ids) for place, tokens in enumerate(texts) for ids in (tokens.ids, *tokens.more)]
    runs = [(place, texts[place]._replace(ids=ids)) for place, ids in windows]
    runs.sort(key=lambda run: run[1].length)
    lengths = [tokens.length for _, tokens in runs]
    job.plan(sum(lengths), pace)
    due = due_times(lengths, job.arrived, job.spread_s)
    return [Item(job, place, tokens, time) for (place, tokens), time in zip(runs, due, strict=True)]


def crash_error() -> NotReadyError:
    """The answer for a text that the model could not be run on."""
    return NotReadyError("the model failed on this text.", hint="Try again; if it fails again, report it.")


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
