"""Which rows say the same: texts as keys, and rows whose keys are equal.

Hashes find them, 8 bytes a row, and the keys themselves decide.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from shared.context import context_of
from shared.text import normalise
from training.data import arrays
from training.data.column import Column

Rows = NDArray[np.intp]
PUNCTUATION = frozenset({"Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm"})
"""Unicode's categories of punctuation, and of signs for money, mathematics and tones of skin."""

TURN = "\x1e"
"""Before each previous turn in a key."""


def text_key(text: str | None) -> str:
    """A normalised text, "" for a null or empty one, with the turns before it: equal where two rows say the same.

    The same words after other words are another row: "Really?" may be joy or anger.
    """
    if not isinstance(text, str):
        return ""
    words = normalise(text)
    said = context_of(text) if words else ()
    if not said:
        return words
    return "".join((words, *(f"{TURN}{turn.speaker or ''}{TURN}{normalise(turn.text)}" for turn in said)))


@functools.cache
def _seen_alike() -> re.Pattern[str]:
    """What may differ between two copies of a text: addresses, names of users, zero-width signs, punctuation.

    Emoji and marks may not: they are what some texts differ in, as vowels are marks in Hindi and Thai.
    """
    signs = (sign for sign in map(chr, range(0x10000)) if unicodedata.category(sign) in PUNCTUATION)
    hidden = "\u200b-\u200f\u2060\ufe0e\ufe0f\ufeff"
    return re.compile(rf"https?://\S+|www\.\S+|@\w+|[{hidden}{re.escape(''.join(signs))}]|[\U0001f3fb-\U0001f3ff]")


def alike(key: str) -> str:
    """A text without case, punctuation, addresses, user names and zero-width signs."""
    return " ".join(_seen_alike().sub(" ", key).casefold().split())


def near_hash(key: str) -> int:
    """Hash of what `alike` leaves of a text."""
    return hash(alike(key))


def first_rows(keys: Sequence[str], within: NDArray[np.integer] | None = None) -> Rows:
    """The first row with the key of each of N rows, shape (N,); of its own group where rows are `within` groups."""
    keys = Column.of(keys)
    hashes = keys.hashes if within is None else keys.hashes + within
    ordered = np.sort(hashes)
    several = ordered[1:][ordered[1:] == ordered[:-1]]
    del ordered
    first = np.arange(len(hashes))
    rows = np.flatnonzero(among(hashes, several))
    rows = rows[np.argsort(hashes[rows], kind="stable")]
    begins = np.flatnonzero(np.diff(hashes[rows], prepend=~hashes[rows[:1]]))
    first[rows] = np.repeat(rows[begins], np.diff(begins, append=len(rows)))
    later = np.sort(rows[first[rows] != rows])
    others: dict[tuple[int, str], int] = {}
    for row, key, alike in zip(later.tolist(), keys.take(later), keys.take(first[later]), strict=True):
        if key != alike:
            first[row] = others.setdefault((hashes[row], key), row)
    return first


def has_repeats(keys: Sequence[str]) -> bool:
    """Whether two rows have one key."""
    return bool((first_rows(keys) != np.arange(len(keys))).any())


def repeated_groups(first: Rows) -> Iterator[Rows]:
    """The rows of every key that several rows have, in order, from what `first_rows` found."""
    rows = np.flatnonzero(np.bincount(first, minlength=len(first))[first] > 1)
    rows = rows[np.argsort(first[rows], kind="stable")]
    begins = np.flatnonzero(np.diff(first[rows], prepend=-1))
    return (rows[begin:end] for begin, end in pairwise(chain(begins, [len(rows)])))


def rows_inside(keys: Sequence[str], others: Sequence[str]) -> Rows:
    """Rows whose key is among the other ones."""
    keys, others = Column.of(keys), Column.of(others)
    ours, theirs = keys.hashes, others.hashes
    rows = np.flatnonzero(among(ours, np.sort(theirs)))
    same = set(others.take(np.flatnonzero(among(theirs, np.sort(ours[rows])))))
    return rows[np.fromiter((key in same for key in keys.take(rows)), dtype=np.bool_, count=len(rows))]


def rows_outside(keys: Sequence[str], others: Sequence[str]) -> Rows:
    """Rows whose key is not among the other ones."""
    return np.delete(np.arange(len(keys)), rows_inside(keys, others))


def among(values: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the values are among those wanted, which are in order."""
    found = np.zeros(len(values), dtype=np.bool_)
    for piece in arrays.pieces(len(values) if len(wanted) else 0):
        places = np.searchsorted(wanted, values[piece])
        found[piece] = wanted[np.minimum(places, len(wanted) - 1)] == values[piece]
    return found
