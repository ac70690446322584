"""Some rows of a table, as columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from shared.errors import DataFormatError
from shared.tables.values import encodable

MAX_CHARACTERS = 2**23
"""Characters after which a chunk ends though it could have more rows, so that long texts do not add up."""

T = TypeVar("T")


@dataclass(frozen=True)
class BadRow:
    """A row that was left out: the line or row where it begins, why, and its first characters."""

    number: int
    reason: str
    content: str = ""


MOST_CONTENT = 200
"""Characters of a bad row that are kept."""
MOST_BAD = 100_000
"""Bad rows for which there are hardly any good ones: more, and the file is no table of the kind it is read as."""


class Aside:
    """Takes the rows that cannot be read, until the chunk after them takes them over.

    Args:
        name: of the file, for messages.
        unit: "line" or "row".
        tolerant: whether they are kept; else the first is an error.
    """

    def __init__(self, name: str, unit: str, *, tolerant: bool) -> None:
        self._name, self._unit, self.tolerant = name, unit, tolerant
        self._held: list[BadRow] = []

    def put(self, number: int, reason: str, hint: str | None = None, *, content: str) -> None:
        """Keep a row.

        Raises:
            DataFormatError: where bad rows are errors, or where there is hardly anything else.
        """
        if len(self._held) >= MOST_BAD:
            raise DataFormatError(
                f"{self._name}: {MOST_BAD:,} rows since {self._unit} {self._held[0].number} cannot be read, "
                f"the first as: {self._held[0].reason}.",
                hint="Is it a table of another kind?",
            )
        if not self.tolerant:
            raise DataFormatError(f"{self._name}, {self._unit} {number}: {reason}.", hint=hint)
        self._held.append(BadRow(number, reason, encodable(content[:MOST_CONTENT])))

    def take(self) -> tuple[BadRow, ...]:
        """What was kept since the last time."""
        found, self._held = tuple(self._held), []
        return found


def in_pieces(rows: Iterable[T], most: int, size: Callable[[T], int]) -> Iterator[list[T]]:
    """Rows in lists of at most `most`, and no more than it takes to reach `MAX_CHARACTERS` characters.

    Args:
        rows: what to cut into lists.
        most: rows of a list.
        size: characters of a row.
    """
    piece: list[T] = []
    held = 0
    for row in rows:
        piece.append(row)
        held += size(row)
        if len(piece) == most or held >= MAX_CHARACTERS:
            yield piece
            piece, held = [], 0
    if piece:
        yield piece


@dataclass(frozen=True)
class Chunk:
    """Rows of a table as columns.

    Attributes:
        columns: N values of every column; None for a missing one.
        name: of the file, for messages.
        numbers: N numbers: the line in which a row begins, or the number of the row where a file has no lines.
        unit: "line" or "row": what the numbers count, from 1.
        json: the N objects as they are written in a JSON file.
        arrow: the rows as Arrow's record batch, of Parquet and Arrow files.
        bad: rows since the chunk before that are left out, where the reader is tolerant; the last chunk may have
            nothing else.
    """

    columns: Mapping[str, list[Any]]
    name: str
    numbers: Sequence[int]
    unit: str = "line"
    json: Sequence[str] | None = None
    arrow: Any = None
    bad: Sequence[BadRow] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def where(self, row: int) -> str:
        """File and line of a row of this chunk."""
        return f"{self.name}, {self.unit} {self.numbers[row]}"

    def rows(self, start: int, stop: int) -> Chunk:
        """Rows `start` up to, but not, `stop`, with the bad rows after each, and those before the first with it."""
        if (start, stop) == (0, len(self)):
            return self
        least = self.numbers[start] if 0 < start < stop else 0
        most = self.numbers[stop] if stop < len(self) else math.inf
        arrow = columns = None
        if self.arrow is not None:
            from shared.tables.arrow_rows import ArrowColumns, compact  # noqa: PLC0415  needs pyarrow

            arrow = compact(self.arrow.slice(start, stop - start))
            columns = ArrowColumns(arrow, self.name)
        return replace(
            self, columns=columns or {name: values[start:stop] for name, values in self.columns.items()},
            numbers=self.numbers[start:stop], json=None if self.json is None else self.json[start:stop], arrow=arrow,
            bad=[row for row in self.bad if start < stop and least <= row.number < most],
        )  # fmt: skip


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """The rows of one or several chunks of a table, in order."""
    first = chunks[0]
    if len(chunks) == 1:
        return first
    arrow = None
    columns: Mapping[str, list[Any]]
    if first.arrow is not None:
        import pyarrow as pa  # noqa: PLC0415

        from shared.tables.arrow_rows import ArrowColumns  # noqa: PLC0415

        (arrow,) = pa.Table.from_batches([chunk.arrow for chunk in chunks]).combine_chunks().to_batches()
        columns = ArrowColumns(arrow, first.name)
    else:
        names = dict.fromkeys(name for chunk in chunks for name in chunk.columns)
        columns = {
            name: [value for chunk in chunks for value in chunk.columns.get(name) or [None] * len(chunk)]
            for name in names
        }
    return replace(
        first, columns=columns, numbers=[number for chunk in chunks for number in chunk.numbers], arrow=arrow,
        json=None if first.json is None else [text for chunk in chunks for text in chunk.json or ()],
        bad=[row for chunk in chunks for row in chunk.bad],
    )  # fmt: skip
