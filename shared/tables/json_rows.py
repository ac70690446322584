"""JSON lines, and whole JSON files with a list of objects or with columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from typing import Any, Literal

from shared.errors import DataFormatError
from shared.tables.byte_source import ByteSource
from shared.tables.chunk import Aside, Chunk, in_pieces
from shared.tables.decoding import unreadable
from shared.tables.delimited import TextSource
from shared.tables.header import TEXT_NAMES
from shared.tables.json_list import JsonList
from shared.tables.options import TableOptions
from shared.tables.values import JsonFloat, to_json

PEEK_ROWS = 100
"""Rows from which the names of the columns are taken before the rest is read."""
MOST_SHOWN = 12

Shape = Literal["lines", "list", "object"]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"the name {', '.join(repr(name) for name in twice)} occurs twice in one object")
    return found


DECODER = json.JSONDecoder(parse_float=JsonFloat, parse_constant=JsonFloat, object_pairs_hook=_unique)


class JsonReader:
    """Objects of a JSON file, one by one.

    Attributes:
        columns: names in the first rows; later rows may bring further ones.
        notes: choices made, to be shown.
    """

    def __init__(self, source: ByteSource, options: TableOptions, *, lines: bool) -> None:
        self._text = TextSource(source, options)
        self.name = source.name
        self.notes = list(self._text.notes)
        self._shape = self._find_shape(lines)
        self.columns = list(dict.fromkeys(name for row in self._first_rows() for name in row))

    def _find_shape(self, lines: bool) -> Shape:
        """One list, an object a line, or one object that is a whole table (in a `.json` alone)."""
        content = [line.strip() for line in self._text.sample if line.strip()]
        if content[0].startswith("["):
            return "list"
        if lines:
            return "lines"
        try:
            value = DECODER.decode(content[0])
        except ValueError:
            return "object" if len(content) > 1 or not self._text.whole else "lines"
        if len(content) == 1 and self._text.whole and isinstance(value, dict):
            nested = bool(value) and all(isinstance(inner, (list, dict)) for inner in value.values())
            return "object" if nested or _table_of(value) is not None else "lines"
        return "lines"

    def _first_rows(self) -> list[dict[str, Any]]:
        """Objects at the start; a cut at the end of the sample is no error."""
        found: list[dict[str, Any]] = []
        again = self._text.source.repeatable
        try:
            aside = Aside(self.name, self._unit, tolerant=self._text.options.tolerant)
            rows = self._objects(aside) if again else self._objects_in(iter(self._text.sample), aside)
            for _, row, _ in islice(rows, PEEK_ROWS):
                found.append(row)
        except DataFormatError:
            if again or not found:
                raise
        if not found and (bad := aside.take()):
            raise DataFormatError(
                f"{self.name}: none of its first {len(bad):,} rows can be read, the first as: {bad[0].reason}.",
                hint="Is it a table of another kind?",
            )
        return found

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, at most `rows` at once.

        Raises:
            DataFormatError: for invalid JSON, or something else than objects.
        """
        aside = Aside(self.name, self._unit, tolerant=self._text.options.tolerant)
        found = self._objects(aside)
        for part in in_pieces(found, rows, lambda row: len(row[2])):
            names = dict.fromkeys(chain(self.columns, *(row for _, row, _ in part)))
            columns = {name: [row.get(name) for _, row, _ in part] for name in names}
            yield Chunk(
                columns, self.name, [number for number, _, _ in part], self._unit,
                json=[text for _, _, text in part], bad=aside.take(),
            )  # fmt: skip
        if left := aside.take():
            yield Chunk({name: [] for name in self.columns}, self.name, [], self._unit, json=[], bad=left)

    @property
    def _unit(self) -> str:
        return "line" if self._shape == "lines" else "row"

    def _objects(self, aside: Aside) -> Iterator[tuple[int, dict[str, Any], str]]:
        """Number, content and text of every object."""
        with closing(self._text.lines() if self._shape == "lines" else self._text.blocks()) as pieces:
            yield from self._objects_in(pieces, aside)

    def _objects_in(self, pieces: Iterator[str], aside: Aside) -> Iterator[tuple[int, dict[str, Any], str]]:
        for number, value, text in self._values(pieces, aside):
            if isinstance(value, dict):
                yield number, value, text
            else:
                hint = 'A row is an object such as {"text": "...", "labels": ["joy"]}.'
                aside.put(number, f"expected a JSON object, found {json.dumps(value)[:80]}", hint, content=text)

    def _values(self, pieces: Iterator[str], aside: Aside) -> Iterator[tuple[int, Any, str]]:
        if self._shape == "lines":
            yield from self._from_lines(pieces, aside)
        elif self._shape == "list":
            for number, (value, text) in enumerate(JsonList(pieces, DECODER, self.name).values(), 1):
                if aside.tolerant and (reason := unreadable(text, self._text.encoding)):
                    aside.put(number, reason, content=text)
                else:
                    yield number, value, text
        else:
            whole = "".join(pieces)
            if aside.tolerant and (reason := unreadable(whole, self._text.encoding)):
                raise DataFormatError(f"{self.name} {reason}, and is one object, of which no row can be left out.")
            yield from self._from_object(whole)

    def _from_lines(self, lines: Iterable[str], aside: Aside) -> Iterator[tuple[int, Any, str]]:
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text:
                continue
            if aside.tolerant and (reason := unreadable(text, self._text.encoding)):
                aside.put(number, reason, content=text)
                continue
            try:
                value = DECODER.decode(text)
            except (ValueError, RecursionError) as error:
                aside.put(number, f"not valid JSON ({error})", content=text)
            else:
                yield number, value, text

    def _from_object(self, text: str) -> Iterator[tuple[int, Any, str]]:
        """Rows of one object that is a whole table."""
        try:
            content = DECODER.decode(text)
        except (ValueError, RecursionError) as error:
            raise DataFormatError(f"{self.name}, line 1: not valid JSON ({error}).") from None
        rows = _table_of(content) if isinstance(content, dict) else None
        if rows is None:
            raise DataFormatError(
                f"{self.name} is one JSON object that is no table: expected a list of objects, one object a line, or "
                "columns of equal length."
            )
        if (name := _name_of_list(content)) is not None and len(content) > 1:
            self._tell_list(content, name)
        for number, row in enumerate(rows, 1):
            yield number, row, to_json(row)

    def _tell_list(self, content: dict[str, Any], name: str) -> None:
        """Say that the rows are those of a list, or refuse an object that may be a row itself.

        An object has a text of its own where two of these are true of a value: its name is one that texts have, the
        objects of the list have a value of that name, it has several words.
        """
        for key, value in content.items():
            if not isinstance(value, str):
                continue
            signs = key.lower() in TEXT_NAMES, any(key in row for row in content[name]), len(value.split()) > 1
            if sum(signs) >= 2:
                raise DataFormatError(
                    f"{self.name} is one object that can be read in two ways: as the rows of its list '{name}', or as "
                    f"one row with the {key} {value[:40]!r}.",
                    hint="Write the list alone, or the object within a list: [{...}].",
                )
        others = [key for key in content if key != name]
        shown = ", ".join(others[:MOST_SHOWN]) + (", ..." if len(others) > MOST_SHOWN else "")
        note = f"{self.name}: the rows are those of the list '{name}'; not read: {shown}"
        if note not in self.notes:
            self.notes.append(note)


def _name_of_list(content: dict[str, Any]) -> str | None:
    """The name of the only list of an object, where it is one of objects: `{"data": [{...}, ...]}`."""
    lists = [name for name, value in content.items() if isinstance(value, list)]
    if len(lists) != 1 or not content[lists[0]] or not all(isinstance(row, dict) for row in content[lists[0]]):
        return None
    return lists[0]


def _table_of(content: dict[str, Any]) -> list[Any] | None:
    """The rows of an object: its only list of objects, or its columns.

    Columns are lists of equal length, or objects with the same keys, as pandas writes them.
    """
    if (name := _name_of_list(content)) is not None:
        rows: list[Any] = content[name]
        return rows
    lists = [value for value in content.values() if isinstance(value, list)]
    if (
        any(value and all(isinstance(row, dict) for row in value) for value in lists)
        or not content
        or not (len(lists) == len(content) or all(isinstance(value, dict) for value in content.values()))
    ):
        return None
    columns = {name: dict(enumerate(v)) if isinstance(v, list) else v for name, v in content.items()}
    keys = list(next(iter(columns.values())))
    if any(list(cells) != keys for cells in columns.values()):
        return None
    return [{name: cells[key] for name, cells in columns.items()} for key in keys]
