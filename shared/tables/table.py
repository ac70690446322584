"""A table of one or several files, read as columns, some rows at a time or whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from shared.errors import ConfigError, DataFormatError, EmptyDataError
from shared.tables.arrow_rows import ArrowReader
from shared.tables.byte_source import ByteSource
from shared.tables.chunk import Chunk
from shared.tables.delimited import DelimitedReader, LinesReader
from shared.tables.json_rows import JsonReader
from shared.tables.options import Format, TableOptions, format_of

STDIN = "-"
"""The name of standard input in place of a file."""
CHUNK_ROWS = 4096


class Reader(Protocol):
    """What reads one file of a format."""

    name: str
    columns: list[str]
    notes: list[str]

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, at most `rows` at once."""


class Table:
    """A table that is read as it is asked for; nothing is held but the rows at hand.

    Attributes:
        name: its file or files, for messages.
        files: the readers of its files.
        format: csv, tsv, jsonl, json, parquet, arrow, xlsx or txt.
        columns: names, in the order of the first file; rows of JSON may bring further ones.
        notes: choices made while reading, to be shown.
        class_names: names of label ids by column, where the file itself holds them (Parquet written by `datasets`).
    """

    def __init__(self, readers: Sequence[Reader], form: Format, sources: Sequence[ByteSource]) -> None:
        first = readers[0]
        self.files, self.format = readers, form
        self._sources, self._surveyed = sources, False
        self.name = first.name if len(readers) == 1 else f"{first.name} and {len(readers) - 1} more"
        self.columns = list(dict.fromkeys(name for reader in readers for name in reader.columns))
        self.notes = [note for reader in readers for note in reader.notes]
        self.class_names: Mapping[str, list[str]] = getattr(first, "class_names", {})
        if form not in ("json", "jsonl"):
            for reader in readers[1:]:
                _check_same_columns(first, reader)

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[Chunk]:
        """All rows in order, at most `rows` at once.

        Raises:
            DataFormatError: for a row that does not fit; names file and line.
        """
        for reader in self.files:
            yield from reader.chunks(rows)

    def survey(self, rows: int = CHUNK_ROWS) -> Iterator[Chunk]:
        """All rows once before they are read again: standard input is copied to a temporary file for it."""
        for source in self._sources:
            source.spool()
        return self.chunks(rows)

    def all_columns(self) -> list[str]:
        """Names of all columns; JSON is read through once for it, as later rows may bring further ones."""
        if self.format in ("json", "jsonl") and not self._surveyed:
            found = dict.fromkeys(self.columns)
            for chunk in self.survey():
                found |= dict.fromkeys(chunk.columns)
            self.columns, self._surveyed = list(found), True
        return self.columns

    def share_read(self) -> float | None:
        """Share of the input's bytes read so far, 0..1; None where its size is not known."""
        sizes = [source.size for source in self._sources]
        total = sum(size for size in sizes if size is not None)
        return None if None in sizes or not total else sum(source.position for source in self._sources) / total

    @property
    def holds_texts(self) -> bool:
        """Whether every value is a text, as in CSV."""
        return self.format in ("csv", "tsv", "txt")

    def read_all(self) -> Chunk:
        """The whole table as one chunk; a column that some rows of JSON lack is None there.

        Raises:
            DataFormatError: for a row that does not fit; names file and line.
            EmptyDataError: when there is no row.
        """
        columns: dict[str, list[Any]] = {name: [] for name in self.columns}
        numbers: list[int] = []
        unit = "line"
        for chunk in self.chunks():
            for name in chunk.columns:
                columns.setdefault(name, [None] * len(numbers))
            for name, values in columns.items():
                values.extend(chunk.columns.get(name) or [None] * len(chunk))
            numbers.extend(chunk.numbers)
            unit = chunk.unit
        if not numbers:
            raise EmptyDataError(f"{self.name} has a header and no rows.")
        return Chunk(columns, self.name, numbers, unit)


def open_table(
    source: Path | str | Sequence[Path], options: TableOptions | None = None, stdin: BinaryIO | None = None
) -> Table:
    """Open a table: find out encoding, separator and header, and read nothing else yet.

    Args:
        source: a file, several files with the same columns, or "-" for standard input.
        options: what is said about it.
        stdin: in place of the process's standard input.

    Raises:
        ConfigError: for an unknown suffix, or an option that does not fit the format.
        DataNotFoundError: when a file is not there.
        DataFormatError: when it is not what its suffix, encoding or header says, or can be read in two ways.
        EmptyDataError: when there is no content.
    """
    options = options or TableOptions()
    if source == STDIN:
        if options.format is None:
            raise ConfigError(
                "the format of standard input is not known.", hint=f"Give {options.key('format')}, for example csv."
            )
        piped = ByteSource(None, stdin)
        return Table([_reader(piped, options.format, options)], options.format, [piped])
    paths = [Path(source)] if isinstance(source, (str, Path)) else list(source)
    forms = [format_of(path, options) for path in paths]
    if len(set(forms)) > 1:
        raise DataFormatError(
            f"{', '.join(path.name for path in paths)} are of different formats ({', '.join(sorted(set(forms)))})."
        )
    sources = [ByteSource(path) for path in paths]
    return Table([_reader(source, forms[0], options) for source in sources], forms[0], sources)


_APPLICABLE: dict[str, tuple[Format, ...]] = {
    "encoding": ("csv", "tsv", "jsonl", "json", "txt"),
    "separator": ("csv", "tsv"),
    "header": ("csv", "tsv", "xlsx"),
    "columns": ("csv", "tsv", "xlsx"),
    "quoting": ("csv", "tsv"),
    "sheet": ("xlsx",),
}
"""The formats to which an option applies."""


def _check_applicable(options: TableOptions, form: Format, name: str) -> None:
    for key, forms in _APPLICABLE.items():
        if getattr(options, key) is not None and form not in forms:
            raise ConfigError(
                f"{options.key(key)} is given, and {name} is read as {form}: it applies to {', '.join(forms)}."
            )


def _reader(source: ByteSource, form: Format, options: TableOptions) -> Reader:
    _check_applicable(options, form, source.name)
    if form in ("csv", "tsv"):
        return DelimitedReader(source, options, tabs=form == "tsv")
    if form in ("jsonl", "json"):
        return JsonReader(source, options, lines=form == "jsonl")
    if form in ("parquet", "arrow"):
        return ArrowReader(source, options, form)
    if form == "xlsx":
        from shared.tables.excel import WorkbookReader  # noqa: PLC0415  needs openpyxl

        return WorkbookReader(source, options)
    return LinesReader(source, options)


def _check_same_columns(first: Reader, other: Reader) -> None:
    if set(first.columns) != set(other.columns):
        raise DataFormatError(
            f"{other.name} has the columns {', '.join(other.columns)}, and {first.name} has {', '.join(first.columns)}."
        )
