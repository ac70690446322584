"""JSON lines, and whole JSON files with a list of objects or with columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from shared.errors import DataFormatError
from shared.tables.byte_source import ByteSource
from shared.tables.chunk import Chunk
from shared.tables.delimited import TextSource
from shared.tables.options import TableOptions
from shared.tables.values import JsonFloat, to_json

PEEK_ROWS = 100
"""Rows from which the names of the columns are taken before the rest is read."""
READ_CHARACTERS = 2**16
_SPACE = re.compile(r"[ \t\r\n]*")
_MAY_BE_CUT = 16
"""Characters before the end of what is read in which an error may come from the cut."""


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

    def __init__(self, source: ByteSource, options: TableOptions) -> None:
        self._text = TextSource(source, options)
        self.name = source.name
        self.notes = list(self._text.notes)
        first = "".join(self._text.sample).lstrip()[:1]
        self._whole = first == "[" or (first == "{" and not self._is_lines())
        peeked = [row for _, row, _ in islice(self._sampled(), PEEK_ROWS)]
        self.columns = list(dict.fromkeys(name for row in peeked for name in row))

    def _is_lines(self) -> bool:
        """Whether the first line with content is an object by itself."""
        line = next(line for line in self._text.sample if line.strip())
        try:
            return isinstance(DECODER.decode(line.strip()), dict) and not self._is_columns(line)
        except ValueError:
            return not self._text.whole or line.strip() not in ("{", "[")

    def _is_columns(self, line: str) -> bool:
        """Whether the only line holds a whole table: an object of columns."""
        rest = [other for other in self._text.sample if other.strip()]
        if len(rest) > 1 or not self._text.whole:
            return False
        values = list(DECODER.decode(line.strip()).values())
        return bool(values) and (
            all(isinstance(value, dict) for value in values) or _only_rows(DECODER.decode(line)) is not None
        )

    def _sampled(self) -> Iterator[tuple[int, dict[str, Any], str]]:
        """Objects of the sample; a cut at its end is no error."""
        if self._text.whole:
            yield from self._objects(self._text.sample)
            return
        last = None
        try:
            for last in self._objects(self._text.sample):
                yield last
        except DataFormatError:
            if last is None and self._text.source.repeatable:
                yield from islice(self._objects(self._text.lines()), PEEK_ROWS)

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, at most `rows` at once.

        Raises:
            DataFormatError: for invalid JSON, or something else than objects.
        """
        found = self._objects(self._text.lines())
        while part := list(islice(found, rows)):
            names = dict.fromkeys(chain(self.columns, *(row for _, row, _ in part)))
            columns = {name: [row.get(name) for _, row, _ in part] for name in names}
            yield Chunk(
                columns, self.name, [number for number, _, _ in part], "row" if self._whole else "line",
                json=[text for _, _, text in part],
            )  # fmt: skip

    def _objects(self, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any], str]]:
        """Number, content and text of every object."""
        if not self._whole:
            yield from self._from_lines(lines)
        elif next((line.lstrip()[:1] for line in self._text.sample if line.strip()), "") == "[":
            yield from self._from_list(iter(lines))
        else:
            yield from self._from_object("".join(lines))

    def _from_lines(self, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any], str]]:
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if text:
                yield number, self._row(self._parse(text, f"line {number}"), f"line {number}"), text

    def _parse(self, text: str, where: str) -> Any:
        try:
            return DECODER.decode(text)
        except (ValueError, RecursionError) as error:
            raise DataFormatError(f"{self.name}, {where}: not valid JSON ({error}).") from None

    def _row(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise DataFormatError(
                f"{self.name}, {where}: expected a JSON object, found {json.dumps(value)[:80]}.",
                hint='A row is an object such as {"text": "...", "labels": ["joy"]}.',
            )
        return value

    def _from_list(self, lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any], str]]:
        """Objects of one long list, without holding the list."""
        buffer, place, number = "", 0, 0
        for line in lines:
            buffer += line
            if buffer.strip():
                break
        place = buffer.index("[") + 1
        buffer, place = self._more(buffer, place, lines)
        if buffer[place : place + 1] == "]":
            place += 1
        else:
            while True:
                number += 1
                value, start, place, buffer = self._next_value(buffer, place, lines, number)
                yield number, self._row(value, f"row {number}"), buffer[start:place]
                buffer, place = self._more(buffer, place, lines)
                mark = buffer[place : place + 1]
                place += 1
                if mark == "]":
                    break
                if mark != ",":
                    raise DataFormatError(f"{self.name}, row {number}: not valid JSON (',' or ']' expected after it).")
                buffer, place = self._more(buffer, place, lines)
        if buffer[place:].strip() or any(line.strip() for line in lines):
            raise DataFormatError(f"{self.name}: not valid JSON (content after the end of the list).")

    @staticmethod
    def _more(buffer: str, place: int, lines: Iterator[str]) -> tuple[str, int]:
        """Skip blanks, reading on where the buffer ends."""
        while True:
            match = _SPACE.match(buffer, place)
            place = match.end() if match else place
            if place < len(buffer):
                return buffer, place
            buffer, place = next(lines, ""), 0
            if not buffer:
                return buffer, place

    def _next_value(self, buffer: str, place: int, lines: Iterator[str], number: int) -> tuple[Any, int, int, str]:
        """The next value of a list, where it begins and ends, and the buffer that holds it."""
        buffer, place = buffer[place:], 0
        while True:
            try:
                value, end = DECODER.raw_decode(buffer, place)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos >= len(buffer) - _MAY_BE_CUT
                further = list(islice(lines, max(1, buffer.count("\n")))) if cut else []
                if not further:
                    raise DataFormatError(f"{self.name}, row {number}: not valid JSON ({error.msg}).") from None
                buffer += "".join(further)
            except (ValueError, RecursionError) as error:
                raise DataFormatError(f"{self.name}, row {number}: not valid JSON ({error}).") from None
            else:
                return value, place, end, buffer

    def _from_object(self, text: str) -> Iterator[tuple[int, dict[str, Any], str]]:
        """Rows of an object of columns, or of an object with one list of objects."""
        content = self._parse(text, "line 1")
        rows = _only_rows(content)
        if rows is None:
            rows = self._from_columns(content)
        for number, row in enumerate(rows, 1):
            yield number, self._row(row, f"row {number}"), to_json(row)

    def _from_columns(self, content: dict[str, Any]) -> list[dict[str, Any]]:
        columns = {name: self._cells(value) for name, value in content.items()}
        keys = {name: list(cells) for name, cells in columns.items()}
        first = next(iter(keys.values()), [])
        if any(found != first for found in keys.values()) or not columns:
            raise DataFormatError(
                f"{self.name} is one JSON object that is no table: expected a list of objects, one object a line, or "
                "columns of equal length."
            )
        return [{name: cells[key] for name, cells in columns.items()} for key in first]

    def _cells(self, value: Any) -> dict[Any, Any]:
        if isinstance(value, dict):
            return value
        return dict(enumerate(value)) if isinstance(value, list) else {None: value}


def _only_rows(content: dict[str, Any]) -> list[Any] | None:
    """The rows of an object such as `{"data": [{...}, ...]}`: its only list of objects."""
    lists = [value for value in content.values() if isinstance(value, list)]
    rows = [value for value in lists if value and all(isinstance(row, dict) for row in value)]
    return rows[0] if len(rows) == 1 == len(lists) else None
