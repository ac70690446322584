"""CSV, TSV and other delimited files, and plain text files with one text a line."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from itertools import islice
from typing import BinaryIO

from shared.errors import DataFormatError, EmptyDataError
from shared.tables.byte_source import ByteSource
from shared.tables.chunk import Aside, Chunk, in_pieces
from shared.tables.decoding import check_is_text, decoded_blocks, find_encoding, lines_of, unreadable
from shared.tables.dialect import (
    Dialect,
    also_enclosed,
    check_one_text_a_line,
    find_dialect,
    rows_of,
    tab_quoting,
    text_lines,
)
from shared.tables.header import HEADER_ROWS, find_header
from shared.tables.options import TableOptions

TEXT_COLUMN = "text"
"""Name of the only column of a plain text file."""


class TextSource:
    """Lines of a text file whose encoding is known.

    Raises:
        DataFormatError: when the bytes are not of the encoding.
        EmptyDataError: when there is no content.
    """

    def __init__(self, source: ByteSource, options: TableOptions) -> None:
        self.source, self.options = source, options
        sample, self.whole = source.sample()
        check_is_text(sample, source.name, options)
        self.encoding, self.skip, self.notes = find_encoding(sample, source.name, options)
        lines = list(lines_of(self._decoded(BytesIO(sample), cut=not self.whole)))
        if self.whole and not any(line.strip() for line in lines):
            raise EmptyDataError(f"{source.name} is empty.")
        self._old_mac = len(lines) == 1 and "\r" in lines[0].removesuffix("\n").removesuffix("\r")
        if self._old_mac:
            lines = text_lines(lines[0].replace("\r", "\n"))
        elif any("\r" in line.rstrip("\r\n") for line in lines):
            self.notes.append(f"{source.name}: a carriage return within a line is part of its text, and ends no row")
        self.sample = lines if self.whole else lines[:-1] or lines

    def lines(self) -> Generator[str, None, None]:
        """All lines, with their ends; whoever stops before the last closes it, and with it the file."""
        if self._old_mac:
            return (line.replace("\r", "\n") for line in lines_of(self.blocks(), "\r"))
        return lines_of(self.blocks())

    def blocks(self) -> Generator[str, None, None]:
        """The whole text, in pieces; as `lines` to be closed."""
        with self.source.open() as stream:
            yield from self._decoded(stream)

    def _decoded(self, stream: BinaryIO, *, cut: bool = False) -> Iterator[str]:
        return decoded_blocks(stream, self.source.name, self.encoding, self.skip, self.options, cut=cut)


class DelimitedReader:
    """A delimited file, row by row.

    Attributes:
        columns: their names, in the order of the file.
        notes: choices made, to be shown.
        dialect: how rows are cut into cells.
    """

    def __init__(self, source: ByteSource, options: TableOptions, *, tabs: bool) -> None:
        self._text = TextSource(source, options)
        self._options, self.name = options, source.name
        self.dialect = self._find_dialect(tabs)
        self.notes = [*self._text.notes, *self.dialect.notes]
        rows = self._sample()
        found = find_header(rows, self.name, "line 1", options)
        self.header, self.columns = found.present, found.columns
        self.notes += found.notes
        if self.header and options.columns is None and (reason := unreadable("".join(rows[0]), self._text.encoding)):
            raise DataFormatError(
                f"{self.name}: the header is no text: {reason}.",
                hint=f"Give {options.key('encoding')} its real encoding, such as cp1252.",
            )

    def _find_dialect(self, tabs: bool) -> Dialect:
        text, options = self._text, self._options
        found = find_dialect(text.sample, whole=text.whole, tabs=tabs, name=self.name, options=options)
        if not tabs or found.separator != "\t" or options.quoting is not None:
            return found
        lines = text.lines() if text.source.repeatable else iter(text.sample)
        quoting = tab_quoting(islice(lines, found.skip_lines, None))
        found = Dialect("\t", quoting, found.skip_lines, found.notes)
        if quoting == "none" and also_enclosed(text.sample, found, self.name, options):
            key = options.key("quoting")
            note = f"{self.name}: quotes are read as plain characters, and would fit as enclosing cells too ({key} csv)"
            return replace(found, notes=(*found.notes, note))
        return found

    def _sample(self) -> list[list[str]]:
        found: list[list[str]] = []
        try:
            for _, row in islice(rows_of(self._text.sample, self.dialect, self.name, self._options), HEADER_ROWS + 1):
                found.append(row)
        except DataFormatError:
            if not found:
                raise
        if not found:
            raise EmptyDataError(f"{self.name} is empty.")
        return found

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, at most `rows` at once.

        Raises:
            DataFormatError: for a row with more or fewer cells than the header.
        """
        aside = Aside(self.name, "line", tolerant=self._options.tolerant)
        with closing(self._text.lines()) as lines:
            numbered = rows_of(lines, self.dialect, self.name, self._options)
            if self.header:
                next(numbered, None)
            for piece in in_pieces(self._fitting(numbered, aside), rows, lambda row: sum(map(len, row[1]))):
                numbers, cells = zip(*piece, strict=True)
                columns = dict(zip(self.columns, map(list, zip(*cells, strict=True)), strict=True))
                yield Chunk(columns, self.name, numbers, bad=aside.take())
        if left := aside.take():
            yield Chunk({name: [] for name in self.columns}, self.name, [], bad=left)

    def _fitting(self, numbered: Iterator[tuple[int, list[str]]], aside: Aside) -> Iterator[tuple[int, list[str]]]:
        width, separator = len(self.columns), self.dialect.separator
        for number, row in numbered:
            if len(row) != width:
                aside.put(number, *self._wrong_width(row), content=separator.join(row))
            elif aside.tolerant and (reason := unreadable(separator.join(row), self._text.encoding)):
                aside.put(number, reason, content=separator.join(row))
            else:
                yield number, row

    def _wrong_width(self, row: Sequence[str]) -> tuple[str, str]:
        what = "the header has" if self.header else "the first row has"
        fields = f"{len(row)} field{'s' if len(row) != 1 else ''}"
        more = "A cell that holds the separator must be in quotes" if len(row) > len(self.columns) else "A cell lacks"
        hint = (
            f"{more} (the file is read as {self.dialect.described()}; {self._options.key('separator')} names "
            "another separator)."
        )
        return f"{fields} where {what} {len(self.columns)}", hint


class LinesReader:
    """A plain text file: one text a line, an empty line is an empty text."""

    def __init__(self, source: ByteSource, options: TableOptions) -> None:
        self._text = TextSource(source, options)
        self.name = source.name
        self.columns = [TEXT_COLUMN]
        self.notes = [*self._text.notes, f"{source.name} is read as one text a line"]
        if options.format is None:
            check_one_text_a_line(self._text.sample, source.name, options)

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All lines, at most `rows` at once."""
        aside = Aside(self.name, "line", tolerant=self._text.options.tolerant)
        for piece in in_pieces(self._readable(aside), rows, lambda row: len(row[1])):
            numbers, texts = zip(*piece, strict=True)
            yield Chunk({TEXT_COLUMN: list(texts)}, self.name, numbers, bad=aside.take())
        if left := aside.take():
            yield Chunk({TEXT_COLUMN: []}, self.name, [], bad=left)

    def _readable(self, aside: Aside) -> Iterator[tuple[int, str]]:
        with closing(self._text.lines()) as lines:
            for number, line in enumerate(lines, 1):
                text = line.removesuffix("\n").removesuffix("\r")
                if aside.tolerant and (reason := unreadable(text, self._text.encoding)):
                    aside.put(number, reason, content=text)
                else:
                    yield number, text
