"""Sheets of a workbook (.xlsx), read with openpyxl."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from typing import Any, BinaryIO

from shared.errors import ConfigError, DataFormatError, EmptyDataError
from shared.tables.byte_source import ByteSource
from shared.tables.chunk import Aside, Chunk
from shared.tables.header import HEADER_ROWS, find_header
from shared.tables.options import TableOptions
from shared.tables.values import to_text

ERROR = "e"
"""openpyxl's type of a cell that holds an error; an empty text is of type "s", and no value at all of type "n"."""
NOT_AVAILABLE = "#N/A"
"""The error that says that there is no value."""
_FORMULA = re.compile(rb"<(?:\w{1,30}:)?f[ />]")


class WorkbookReader:
    """Rows of one sheet of a workbook; values keep the types that the cells have.

    Attributes:
        columns: their names, in the order of the sheet.
        notes: choices made, to be shown.
    """

    def __init__(self, source: ByteSource, options: TableOptions) -> None:
        self._source, self._options, self.name = source, options, source.name
        source.make_seekable()
        number, rows = self._sample()
        found = find_header(rows, self.name, f"row {number}", options)
        self._has_header, self.columns, self.notes = found.present, found.columns, list(found.notes)

    def _sample(self) -> tuple[int, list[list[str]]]:
        """Number of the first row, and cells of it and some rows after it; those after one with an error are not."""
        found: list[tuple[int, list[str]]] = []
        try:
            rows = self._rows(Aside(self.name, "row", tolerant=False))
            for number, values in islice(rows, HEADER_ROWS + 1):
                found.append((number, [to_text(value) for value in values]))
        except DataFormatError:
            if not found:
                raise
        if not found:
            raise EmptyDataError(f"{self.name} is empty.")
        number, first = found[0]
        while first and not first[-1]:
            first.pop()
        return number, [row for _, row in found]

    def _rows(self, aside: Aside) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Number and values of every row that is not blank; what cannot be used goes aside."""
        try:
            import openpyxl  # noqa: PLC0415  an extra, needed for workbooks alone
        except ModuleNotFoundError:
            raise ConfigError(
                f"{self.name} is a workbook, and openpyxl is not installed.",
                hint="Install it (pip install 'emotion-classifiers[excel]'), or save the sheet as CSV.",
            ) from None
        with self._source.open() as stream:
            try:
                kinds = (True, False) if _has_formulas(stream) else (True,)
                books = [openpyxl.load_workbook(stream, read_only=True, data_only=kind) for kind in kinds]
            except Exception as error:  # the library raises many kinds for a damaged file
                raise DataFormatError(f"{self.name} is not readable as a workbook: {error}.") from None
            sheets = [self._sheet(book).iter_rows() for book in books]
            for number, (row, *formulas) in enumerate(zip(*sheets, strict=True), 1):
                values = tuple(None if cell.data_type == ERROR else cell.value for cell in row)
                if wrong := _wrong_cell(row, *formulas):
                    aside.put(number, *wrong, content="\t".join(to_text(cell.value) for cell in row))
                elif any(value is not None for value in values):
                    yield number, values
            for book in books:
                book.close()

    def _sheet(self, book: Any) -> Any:
        sheets = book.worksheets  # those of charts hold no rows
        names = [sheet.title for sheet in sheets]
        wanted, found = self._options.sheet, None
        if wanted is None and len(names) == 1:
            found = sheets[0]
        elif wanted in names:
            found = sheets[names.index(wanted)]
        elif wanted is not None and wanted.isdecimal() and 1 <= int(wanted) <= len(names):
            found = sheets[int(wanted) - 1]
        if found is not None:
            found.reset_dimensions()  # which some programs write too small: rows beyond them would be lost
            return found
        problem = "has several sheets" if wanted is None else f"has no sheet '{wanted}'"
        raise DataFormatError(
            f"{self.name} {problem}: {', '.join(names)}.", hint=f"Name one with {self._options.key('sheet')}."
        )

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, at most `rows` at once.

        Raises:
            DataFormatError: for an error in a cell, a formula without its value, or a value in a column without a name.
        """
        aside = Aside(self.name, "row", tolerant=self._options.tolerant)
        found = self._fitting(aside)
        while part := list(islice(found, rows)):
            columns = {
                name: [row[place] if place < len(row) else None for _, row in part]
                for place, name in enumerate(self.columns)
            }
            yield Chunk(columns, self.name, [number for number, _ in part], "row", bad=aside.take())
        if left := aside.take():
            yield Chunk({name: [] for name in self.columns}, self.name, [], "row", bad=left)

    def _fitting(self, aside: Aside) -> Iterator[tuple[int, tuple[Any, ...]]]:
        width = len(self.columns)
        for number, row in islice(self._rows(aside), int(self._has_header), None):
            if any(value is not None for value in row[width:]):
                reason = f"a value beyond the {width} named columns"
                aside.put(number, reason, content="\t".join(map(to_text, row)))
            else:
                yield number, row


def _wrong_cell(row: Sequence[Any], formulas: Sequence[Any] = ()) -> tuple[str, str] | None:
    """What is wrong with the first cell that cannot be used, and what to do; None for most rows.

    Args:
        row: cells with values.
        formulas: the same cells with formulas, where the sheet has some.
    """
    for cell, written in zip_longest(row, formulas):
        if cell.data_type == ERROR and cell.value != NOT_AVAILABLE:
            hint = f"Mend it in a spreadsheet program; {NOT_AVAILABLE} alone is read as no value."
            return f"cell {cell.coordinate} holds the error {cell.value}", hint
        if written is not None and cell.value is None is not written.value and cell.data_type == "n":
            hint = "Open it in a spreadsheet program and save it there, or save the values alone."
            return f"cell {cell.coordinate} holds a formula, and the file holds no value of it", hint
    return None


def _has_formulas(stream: BinaryIO) -> bool:
    """Whether a sheet of a workbook has a formula."""
    with zipfile.ZipFile(stream) as parts:
        for name in parts.namelist():
            if name.startswith("xl/worksheets/"):
                with parts.open(name) as sheet:
                    before = b""
                    while block := sheet.read(2**20):
                        if _FORMULA.search(before + block):
                            return True
                        before = block[-40:]
    return False
