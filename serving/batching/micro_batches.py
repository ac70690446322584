"""Which waiting texts run together: the one due first, with its neighbours in length, within a budget of tokens."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Generic, Protocol, TypeVar

FREE_PADDING_TOKENS = 64
"""Padding that costs less than a model run of its own (about 1 ms for a six-layer encoder on one core)."""

MAX_PADDING = 0.2
"""Largest share of padding in a batch beyond that."""


class Sized(Protocol):
    """Something with a length in tokens and a due time that may have become pointless."""

    @property
    def length(self) -> int:
        """Number of tokens."""
        ...

    @property
    def due(self) -> float:
        """When its turn is; of those due at the same time, the first to come is first."""
        ...

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        ...


T = TypeVar("T", bound=Sized)


@dataclass(order=True, slots=True)
class _Place(Generic[T]):
    length: int
    order: int
    item: T = field(compare=False)
    taken: bool = field(default=False, compare=False)


class WaitingTexts(Generic[T]):
    """Texts sorted by length and by when they are due; not thread-safe.

    Args:
        max_tokens: most tokens of a batch, padding included; a longer text is a batch of its own.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._by_length: list[_Place[T]] = []
        self._by_due: list[tuple[float, int, _Place[T]]] = []
        self._count = 0
        self._tokens = 0

    def __len__(self) -> int:
        return len(self._by_length)

    def add(self, item: T) -> None:
        """Let `item` wait."""
        place = _Place(item.length, self._count, item)
        self._count += 1
        self._tokens += place.length
        insort(self._by_length, place)
        heappush(self._by_due, (item.due, place.order, place))

    def take(self, shares: int = 1) -> list[T]:
        """The next batch, the text due first and others of similar length; empty when nothing wanted is waiting.

        Args:
            shares: what waits is shared out among so many, as far as that is worth a model run each.
        """
        next_due = self._next_due()
        if next_due is None:
            return []
        max_tokens = min(self._max_tokens, max(FREE_PADDING_TOKENS, -(-self._tokens // shares)))
        first = bisect_left(self._by_length, next_due)
        last = first + 1
        real = next_due.length
        while True:
            grown = self._grow(first, last, real, max_tokens)
            if grown is None:
                break
            real += self._by_length[grown].length
            first, last = min(first, grown), max(last, grown + 1)
        batch = self._by_length[first:last]
        del self._by_length[first:last]
        self._tokens -= real
        for place in batch:
            place.taken = True
        return [place.item for place in batch if place.item.wanted]

    def _next_due(self) -> _Place[T] | None:
        while self._by_due:
            place = heappop(self._by_due)[-1]
            if place.taken:
                continue
            if place.item.wanted:
                return place
            del self._by_length[bisect_left(self._by_length, place)]
            self._tokens -= place.length
        return None

    def _grow(self, first: int, last: int, real: int, max_tokens: int) -> int | None:
        """Position of the neighbour that adds the least padding and still fits, None where neither does."""
        options = []
        if first > 0:
            options.append((self._by_length[last - 1].length, first - 1))
        if last < len(self._by_length):
            options.append((self._by_length[last].length, last))
        best: tuple[int, int] | None = None
        for longest, position in options:
            padded = longest * (last - first + 1)
            padding = padded - real - self._by_length[position].length
            fits = padded <= max_tokens and padding <= max(FREE_PADDING_TOKENS, MAX_PADDING * padded)
            if fits and (best is None or padding < best[0]):
                best = (padding, position)
        return None if best is None else best[1]
