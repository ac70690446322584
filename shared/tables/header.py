"""Whether the first row of a table names its columns, and how they are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import ConfigError, DataFormatError
from shared.labels import GOEMOTIONS
from shared.tables.options import TableOptions

HEADER_ROWS = 500
"""Rows below the first one that it is compared with."""
TEXT_NAMES = frozenset(
    {
        "text", "texts", "sentence", "content", "utterance", "tweet", "comment", "message", "post", "body", "review",
        "document",
    }
)  # fmt: skip
COMMON_NAMES = TEXT_NAMES | {
    "label", "labels", "emotion", "emotions", "category", "class", "target", "sentiment", "tags", "id", "idx", "index",
    "split", "rater", "annotator",
}  # fmt: skip
"""Names that columns of text and labels usually have: a first row that holds one is a header."""
LABEL_WORDS = frozenset((*GOEMOTIONS, "happiness", "happy", "sad", "angry", "shame", "guilt", "positive", "negative"))
_FLAGS = frozenset(("", "0", "1", "0.0", "1.0", "true", "false", "yes", "no", "nan", "na", "null", "none"))
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Header:
    """What the columns of a table are called.

    Attributes:
        present: whether its first row is a header.
        columns: their names.
        notes: choices made, to be shown.
    """

    present: bool
    columns: list[str]
    notes: tuple[str, ...]


def find_header(rows: Sequence[Sequence[str]], name: str, first_row: str, options: TableOptions) -> Header:
    """The names of the columns: those given, else those of the first row, unless it is said to be data.

    Args:
        rows: cells of the first row, and of some rows after it.
        name: of the table, for messages.
        first_row: where its first row is, such as "line 1".
        options: what is said about it.

    Raises:
        DataFormatError: when the first row looks like data and nothing is said, or two columns have one name.
        ConfigError: when there are more or fewer columns than names given.
    """
    first, given, notes = rows[0], options.columns, []
    if options.header is None:
        notes += _doubts(rows, name, first_row, options)
    if given is not None and len(given) != len(first):
        raise ConfigError(
            f"{options.key('columns')} has {len(given)} name{'s' * (len(given) != 1)} ({', '.join(given)}), and {name} "
            f"has {len(first)} column{'s' * (len(first) != 1)}."
        )
    if options.header is False:
        if looks_like_header(first):
            notes.append(
                f"{name}: the first row is read as data, as {options.key('header')} is false, though it looks like a "
                f"header ({', '.join(first[:5])})"
            )
        if given is None:
            given = tuple(f"column_{place}" for place in range(1, len(first) + 1))
            notes.append(f"{name} has no header: its columns are called {', '.join(given)}")
    return Header(options.header is not False, checked_names(given or first, name, options), tuple(notes))


def _doubts(rows: Sequence[Sequence[str]], name: str, first_row: str, options: TableOptions) -> list[str]:
    """A note where the first row, taken for a header, may be data; an error where it looks like data."""
    strong, weak = header_evidence(rows[0], rows[1:])
    key = options.key("header")
    if strong:
        raise DataFormatError(
            f"{name}, {first_row}: the first row ({', '.join(repr(cell[:30]) for cell in rows[0][:5])}) looks like "
            f"data, not like names of columns: {'; '.join(strong[:3])}.",
            hint=f"Give {key} false if the file has no header (and name its columns with {options.key('columns')}), or "
            f"{key} true if it is the header.",
        )
    return [f"{name}: the first row is read as the header, though {weak[0]} ({key} false: data)"] if weak else []


def header_evidence(first: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[str]]:
    """Why the first row looks like data: what speaks strongly for it, and what speaks weakly for it.

    Args:
        first: cells of the first row.
        rows: cells of some rows after it.
    """
    if looks_like_header(first):
        return [], []
    strong, weak = [], []
    for place, cell in enumerate(first):
        below = [row[place].strip() for row in rows[:HEADER_ROWS] if place < len(row)]
        name, shown = cell.strip(), repr(cell[:40])
        if below and _NUMBER.fullmatch(name) and all(_NUMBER.fullmatch(value) for value in below):
            strong.append(f"{shown} is a number, as all of column {place + 1}")
        elif name and len(below) > 1 and name in below:
            strong.append(f"{shown} occurs again in column {place + 1}")
        elif name.lower() in LABEL_WORDS and below and not all(value.lower() in _FLAGS for value in below):
            strong.append(f"{shown} is a label, above others such as {below[0][:20]!r}")
        elif len(name.split()) > 3 or (" " in name and name[-1] in ".!?"):
            weak.append(f"{shown} is a sentence")
    return strong, weak


def looks_like_header(first: Sequence[str]) -> bool:
    """Whether a row holds the usual names of columns."""
    return any(word in COMMON_NAMES for cell in first for word in re.split("[_-]", cell.strip().lower()))


def checked_names(names: Sequence[str], where: str, options: TableOptions) -> list[str]:
    """Names of columns without blanks around them; unnamed ones beyond the first are numbered.

    Raises:
        DataFormatError: when two columns have one name.
    """
    found = [name.strip() for name in names]
    if found.count("") > 1:
        found = [name or f"column_{place}" for place, name in enumerate(found, 1)]
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise DataFormatError(
            f"{where} has columns of the same name in its header: {', '.join(twice)}.",
            hint=f"Name all {len(found)} columns with {options.key('columns')}.",
        )
    return found
