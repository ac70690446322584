"""A column of a table that is read like a list, and lies in memory as bytes or, where it is large, in a file."""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from operator import index
from typing import Any, Generic, SupportsIndex, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from shared.tables.values import text_of
from training.data import arrays

T = TypeVar("T")
Missing = TypeVar("Missing", str, None)
VALUES_AT_ONCE = 4096
"""Values written, or read while all of them are gone through, at a time."""
COMMON = 1024
"""Different values that are stored once where they stand in many rows: labels, languages, 0 and 1."""
_STORED_ONCE = frozenset({int, float, bool, type(None), list, dict})
"""Types beside texts whose values are equal when they are written alike."""
_PICKLED = b"\xff"
"""Before a value that is no text; no text in UTF-8 begins with it."""


@dataclass(frozen=True)
class _Block:
    """E stored values, one after the other.

    Attributes:
        content: their bytes.
        ends: where each begins and ends in them, shape (E + 1,).
        texts: whether all are texts.
    """

    content: bytes | mmap.mmap
    ends: NDArray[np.int64]
    texts: bool

    def __len__(self) -> int:
        return len(self.ends) - 1

    @cached_property
    def few(self) -> list[Any] | None:
        """All values, where they are few."""
        return self._read(np.arange(len(self))) if len(self) <= COMMON else None

    def values(self, places: NDArray[np.int64]) -> list[Any]:
        """The values at some places, each 0..E-1."""
        few = self.few
        return self._read(places) if few is None else [few[place] for place in places.tolist()]

    def _read(self, places: NDArray[np.int64]) -> list[Any]:
        starts, ends = self.ends[places], self.ends[places + 1]
        if not len(places) or (starts[1:] != ends[:-1]).any():
            return [self._decoded(self.content[start:end]) for start, end in zip(starts, ends, strict=True)]
        content = self.content[starts[0] : ends[-1]]  # one stretch, as where all rows are gone through
        spans = zip((starts - starts[0]).tolist(), (ends - starts[0]).tolist(), strict=True)
        if self.texts and content.isascii():
            text = content.decode("ascii")
            return [text[start:end] for start, end in spans]
        return [self._decoded(content[start:end]) for start, end in spans]

    def _decoded(self, content: bytes) -> Any:
        if not self.texts and content[:1] == _PICKLED:
            return pickle.loads(content[1:])  # written by this process, in a file that no other can open
        return content.decode("utf-8", "surrogatepass")


class Column(Sequence[T], Generic[T]):
    """N values of any kind, in the order of the rows.

    Rows that are taken from a column, and columns that are joined, share the stored values, and rows with the same list
    may share it: a value that is read must not be changed.
    """

    def __init__(self, blocks: Sequence[_Block], places: NDArray[np.int64]) -> None:
        self._blocks = tuple(blocks)
        self._places = places
        """Of every row among the values of all blocks, shape (N,)."""

    @classmethod
    def of(cls, values: Iterable[T]) -> Column[T]:
        """The values as a column; a column as it is."""
        if isinstance(values, Column):
            return values
        writer: ColumnWriter[T] = ColumnWriter()
        rest = iter(values)
        while piece := list(islice(rest, VALUES_AT_ONCE)):
            writer.extend(piece)
        return writer.column()

    @classmethod
    def repeated(cls, value: T, rows: int) -> Column[T]:
        """One value in every row."""
        return cls(cls.of([value])._blocks, arrays.zeros(rows, np.int64))

    @classmethod
    def joined(cls, columns: Sequence[Column[T]]) -> Column[T]:
        """Columns one after the other."""
        if len(columns) == 1:
            return columns[0]
        places = arrays.joined([column._places for column in columns] or [np.zeros(0, np.int64)])
        row = before = 0
        for column in columns:
            places[row : row + len(column)] += before
            row += len(column)
            before += sum(map(len, column._blocks))
        return cls([block for column in columns for block in column._blocks], places)

    def as_texts(self, missing: Missing) -> Column[str | Missing]:
        """The values as texts, with `missing` in place of None and NaN."""
        if all(block.texts for block in self._blocks):
            return self  # type: ignore[return-value]
        return Column.of(missing if (text := text_of(value)) is None else text for value in self)

    def map(self, change: Callable[[T], T]) -> Column[T]:
        """What is made of every value; where a value stays as it is, the one stored already is shared."""
        writer: ColumnWriter[T] = ColumnWriter()
        places = arrays.zeros(len(self), np.int64)
        places[:] = self._places
        rows: list[NDArray[np.intp]] = []
        for start in range(0, len(self), VALUES_AT_ONCE):
            values = self[start : start + VALUES_AT_ONCE]
            changed = list(map(change, values))
            other = [row for row, (old, new) in enumerate(zip(values, changed, strict=True)) if old != new]
            writer.extend([changed[row] for row in other])
            rows.append(start + np.array(other, dtype=np.intp))
        made = writer.column()
        places[np.concatenate(rows or [np.zeros(0, np.intp)])] = made._places + sum(map(len, self._blocks))
        return Column((*self._blocks, *made._blocks), places)

    @cached_property
    def hashes(self) -> NDArray[np.int64]:
        """The same for equal values, shape (N,)."""
        return np.fromiter(map(hash, self), dtype=np.int64, count=len(self))

    def take(self, rows: NDArray[np.integer]) -> Column[T]:
        """Some rows in the order given; a row may be taken twice."""
        return Column(self._blocks, arrays.rows_of(self._places, rows))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, row: SupportsIndex) -> T: ...
    @overload
    def __getitem__(self, row: slice) -> list[T]: ...
    def __getitem__(self, row: SupportsIndex | slice) -> T | list[T]:
        """The value of a row, or those of several as a list."""
        if isinstance(row, slice):
            return self._values(self._places[row])
        return self._values(self._places[[index(row)]])[0]

    def __iter__(self) -> Iterator[T]:
        starts = range(0, len(self), VALUES_AT_ONCE)
        return chain.from_iterable(self[start : start + VALUES_AT_ONCE] for start in starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Callable[[Iterable[T]], Column[T]], tuple[list[T]]]:
        """Whoever it is sent to gets the values and not the file."""
        return Column.of, (list(self),)

    def __repr__(self) -> str:
        return f"Column({self[:8]!r}{', ...' if len(self) > 8 else ''})"

    def _values(self, places: NDArray[np.int64]) -> list[T]:
        if len(self._blocks) == 1:
            return self._blocks[0].values(places)
        values: list[Any] = [None] * len(places)
        first = 0
        for block in self._blocks:
            inside = np.flatnonzero((places >= first) & (places < first + len(block)))
            for row, value in zip(inside.tolist(), block.values(places[inside] - first), strict=True):
                values[row] = value
            first += len(block)
        return values


class ColumnWriter(Generic[T]):
    """Makes a column of values that come some at a time."""

    def __init__(self) -> None:
        self._content, self._ends, self._places = arrays.Spool(), arrays.Spool(), arrays.Spool()
        self._ends.write(np.zeros(1, np.int64).tobytes())
        self._stored = self._end = 0
        self._texts = True
        self._common: dict[Any, int] = {}
        """Where the values that were met several times in some rows are stored."""

    def extend(self, values: Sequence[T]) -> None:
        """Add values at the end.

        Raises:
            OSError: when the disk is full.
        """
        texts = set(map(type, values)) <= {str}
        keys: Sequence[Any] = values if texts else list(map(_key, values))
        different = dict(zip(keys, values, strict=True))
        if 2 * len(different) > len(values):
            places = self._store(values, texts=texts)
        else:
            common = self._common if len(self._common) <= COMMON else {}
            new = [key for key in different if key not in common]
            common |= zip(new, self._store([different[key] for key in new], texts=texts).tolist(), strict=True)
            places = np.array([common[key] for key in keys], dtype=np.int64)
            self._common = common
        self._places.write(places.tobytes())

    def _store(self, values: Sequence[Any], *, texts: bool) -> NDArray[np.int64]:
        """Where the values are once they are stored."""
        joined = "".join(values) if texts else ""
        if texts and joined.isascii():
            content, sizes = joined.encode("ascii"), list(map(len, values))
        else:
            contents = [_encoded(value) for value in values]
            content, sizes = b"".join(contents), list(map(len, contents))
        ends = self._end + np.cumsum(sizes, dtype=np.int64)
        self._content.write(content)
        self._ends.write(ends.tobytes())
        places = np.arange(self._stored, self._stored + len(values))
        self._stored, self._end = self._stored + len(values), self._end + len(content)
        self._texts = self._texts and texts
        return places

    def column(self) -> Column[T]:
        """The column; nothing can be added afterwards."""
        ends, places = (np.frombuffer(spool.read(), dtype=np.int64) for spool in (self._ends, self._places))
        return Column([_Block(self._content.read(), ends, self._texts)], places)


def _key(value: Any) -> Any:
    """The same for values that may be stored as one."""
    if type(value) is str:
        return value
    return (type(value), repr(value)) if type(value) in _STORED_ONCE else object()


def _encoded(value: Any) -> bytes:
    return value.encode("utf-8", "surrogatepass") if type(value) is str else _PICKLED + pickle.dumps(value, -1)


def numbered(names: Iterable[str]) -> tuple[list[str], NDArray[np.intp]]:
    """The different names in order, K of them, and for each of N rows the place of its name among them, shape (N,)."""
    met: dict[str, int] = {}
    order = np.fromiter((met.setdefault(name, len(met)) for name in names), dtype=np.intp)
    distinct = sorted(met)
    place = np.empty(len(met), dtype=np.intp)
    place[[met[name] for name in distinct]] = np.arange(len(met))
    return distinct, place[order]
