"""Tables written row by row: the user's own columns unchanged, further ones after them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

from shared.errors import ConfigError
from shared.tables.chunk import Chunk
from shared.tables.json_rows import DECODER
from shared.tables.options import FORMATS, Format, named_format
from shared.tables.table import Table
from shared.tables.values import for_csv, to_json, to_text

WRITTEN: tuple[Format, ...] = ("csv", "tsv", "jsonl", "json", "parquet")
"""The formats that can be written."""
_LINE_BREAK = re.compile(r"[ \t]*[\r\n][ \t\r\n]*")
NUMBER = "%.10g"
"""Form of added numbers in text: more digits than a probability from float32 logits has."""
LIST_SEPARATOR = "|"
"""Between the names of an added column of lists in a CSV cell."""

Added = Mapping[str, Sequence[Any]]
"""Columns beside those of a chunk: lists of names, or numbers (None where there is none)."""


def written_format(path: str) -> Format:
    """The format of an output, by the suffix of its name.

    Raises:
        ConfigError: when it is unknown or cannot be written.
    """
    found = named_format(path)
    if found in WRITTEN:
        return found
    allowed = ", ".join(suffix for suffix, form in FORMATS.items() if form in WRITTEN)
    raise ConfigError(f"cannot tell the format of {path}, or not write it.", hint=f"Name it with one of {allowed}.")


class TableWriter(Protocol):
    """What writes chunks in one format; whole rows only.

    Attributes:
        notes: what is not written as it was, to be shown; there may be more of them after every `write`.
    """

    notes: list[str]

    def write(self, chunk: Chunk, added: Added) -> None:
        """Write the rows of a chunk with the added columns after their own."""

    def close(self) -> None:
        """Complete the file; what was written is valid even where rows are missing."""


def open_writer(
    stream: BinaryIO,
    form: Format,
    table: Table,
    added: Sequence[str],
    *,
    lists: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> TableWriter:
    """A writer of the rows of `table`.

    Args:
        stream: where to.
        form: one of `WRITTEN`.
        table: what the rows are read from; JSON is read once before, where the form needs to know all columns.
        added: names of the columns that are added to its own.
        lists: those of them that hold lists of names; the others hold numbers.
        drop: columns of the table that are left out.

    Raises:
        ConfigError: for a form that cannot be written.
    """
    if form in ("jsonl", "json"):
        return JsonWriter(stream, lines=form == "jsonl", drop=drop)
    if form in ("csv", "tsv"):
        columns = [name for name in table.all_columns() if name not in drop]
        return DelimitedWriter(stream, "\t" if form == "tsv" else ",", columns, added)
    if form == "parquet":
        from shared.tables.arrow_writing import ParquetLayout, ParquetTableWriter  # noqa: PLC0415  only here

        return ParquetTableWriter(stream, ParquetLayout(table, added, lists=lists, drop=drop))
    raise ConfigError(f"cannot write {form}: allowed are {', '.join(WRITTEN)}.")


class DelimitedWriter:
    """CSV or TSV in UTF-8 with LF; a cell is quoted where it must be, and quotes in it are doubled.

    What it cannot hold (NUL, half a surrogate pair) becomes U+FFFD, with a note.

    Args:
        stream: where to.
        separator: between cells.
        columns: the table's own, in order.
        added: columns after them.
        header: whether the first row names the columns.
    """

    def __init__(
        self, stream: BinaryIO, separator: str, columns: Sequence[str], added: Sequence[str], *, header: bool = True
    ) -> None:
        self._stream, self._separator, self._columns = stream, separator, columns
        self._special = re.compile(f'[{re.escape(separator)}"\r\n]')
        self.notes: list[str] = []
        if header:
            self._put([[self._quoted(name) for name in [*columns, *added]]], "names of columns")

    def write(self, chunk: Chunk, added: Added) -> None:
        """Write the rows of a chunk with the added columns after their own."""
        own = [self._cells(chunk.columns.get(name) or [None] * len(chunk)) for name in self._columns]
        further = added_texts(added, [""] * len(added), self._separator, self._list_cell, "")
        self._put(zip(*own, further, strict=True), chunk.name)

    def close(self) -> None:
        """Nothing is open."""

    def _cells(self, values: Iterable[Any]) -> list[str]:
        return [self._quoted(value if isinstance(value, str) else to_text(value)) for value in values]

    def _list_cell(self, names: list[str]) -> str:
        return self._quoted(LIST_SEPARATOR.join(names))

    def _quoted(self, cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"' if self._special.search(cell) else cell

    def _put(self, rows: Iterable[Sequence[str]], where: str) -> None:
        text = "".join(self._separator.join(row) + "\n" for row in rows)
        content, held = _encoded(text)
        self._stream.write(content)
        note = f"{where}: NUL and half a surrogate pair, which CSV cannot hold, are written as U+FFFD"
        if not held and note not in self.notes:
            self.notes.append(note)


def _encoded(text: str) -> tuple[bytes, bool]:
    """Rows in UTF-8, and whether CSV holds all their characters."""
    if "\0" not in text:
        with contextlib.suppress(UnicodeEncodeError):
            return text.encode("utf-8"), True
    return for_csv(text).encode("utf-8"), False


def added_texts(
    added: Added, heads: Sequence[str], separator: str, list_text: Callable[[list[str]], str], null: str
) -> list[str]:
    """The added columns of every row as one text.

    Args:
        added: the columns.
        heads: what stands before the value of each.
        separator: between columns.
        list_text: a list of names as text.
        null: in place of None.
    """
    forms, columns = [], []
    for head, values in zip(heads, added.values(), strict=True):
        numbers = all(isinstance(value, float) for value in values)
        forms.append(head.replace("%", "%%") + (NUMBER if numbers else "%s"))
        columns.append(values if numbers else [_added_text(value, list_text, null) for value in values])
    template = separator.join(forms)
    return [template % row for row in zip(*columns, strict=True)]


def _added_text(value: Any, list_text: Callable[[list[str]], str], null: str) -> str:
    if value is None:
        return null
    return list_text(value) if isinstance(value, list) else NUMBER % value


class JsonWriter:
    """JSON lines or one list of objects; an object that was JSON before stays as it was written.

    Args:
        stream: where to.
        lines: an object a line; else one list.
        drop: columns that are left out.
    """

    def __init__(self, stream: BinaryIO, *, lines: bool, drop: Sequence[str] = ()) -> None:
        self._stream, self._lines, self._drop = stream, lines, frozenset(drop)
        self._started = False
        self.notes: list[str] = []
        if not lines:
            stream.write(b"[")

    def write(self, chunk: Chunk, added: Added) -> None:
        """Write the rows of a chunk with the added columns after their own."""
        own = self._own_objects(chunk)
        further = added_texts(added, [f"{to_json(name)}: " for name in added], ", ", to_json, "null")
        rows = [_extended(text, pairs) for text, pairs in zip(own, further, strict=True)]
        if self._lines:
            content = "".join(row + "\n" for row in rows)
        else:
            content = ("," if self._started and rows else "") + ",".join("\n" + row for row in rows)
        self._started = self._started or bool(rows)
        self._stream.write(content.encode("utf-8", "backslashreplace"))  # which is JSON's escape of a lone surrogate

    def close(self) -> None:
        """End the list."""
        if not self._lines:
            self._stream.write(b"\n]\n")

    def _own_objects(self, chunk: Chunk) -> Sequence[str]:
        if chunk.json is not None and not self._drop.intersection(chunk.columns):
            return [_in_one_line(text) for text in chunk.json] if self._lines else chunk.json
        names = [name for name in chunk.columns if name not in self._drop]
        if chunk.json is not None:
            rows = map(DECODER.decode, chunk.json)
            return [to_json({n: v for n, v in row.items() if n not in self._drop}) for row in rows]
        cells = [[f"{to_json(name)}: {to_json(value)}" for value in chunk.columns[name]] for name in names]
        return ["{" + ", ".join(row) + "}" for row in zip(*cells, strict=True)] if cells else ["{}"] * len(chunk)


def _in_one_line(text: str) -> str:
    """JSON without line breaks; a text within it never holds one that is not escaped."""
    return _LINE_BREAK.sub(" ", text) if "\n" in text or "\r" in text else text


def _extended(text: str, pairs: str) -> str:
    """An object with further pairs at its end."""
    head = text[:-1].rstrip()
    return f"{head}{pairs}}}" if head.endswith("{") else f"{head}, {pairs}}}"
