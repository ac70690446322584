"""Sheets of a workbook (.xlsx), read with openpyxl."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

from shared.errors import ConfigError, DataFormatError, EmptyDataError
from shared.tables.byte_source import ByteSource
from shared.tables.chunk import Chunk
from shared.tables.delimited import checked_names
from shared.tables.options import TableOptions

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
        self.notes: list[str] = []
        self._has_header = options.header is not False
        first = next(self._rows(), None)
        if first is None:
            raise EmptyDataError(f"{self.name} is empty.")
        names = ["" if value is None else str(value) for value in first[1]]
        while names and not names[-1]:
            names.pop()
        if options.columns is not None and len(options.columns) != len(names):
            raise ConfigError(
                f"{options.key('columns')} has {len(options.columns)} name{'s' * (len(options.columns) != 1)} "
                f"({', '.join(options.columns)}), and {self.name} has {len(names)} columns."
            )
        if not self._has_header:
            names = list(options.columns or (f"column_{place}" for place in range(1, len(names) + 1)))
        self.columns = checked_names(options.columns or names, self.name, options)

    def _rows(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Number and values of every row that is not blank."""
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
            sheets = [self._sheet(book) for book in books]
            rows = self._checked(*sheets) if len(sheets) > 1 else sheets[0].iter_rows(values_only=True)
            for number, row in enumerate(rows, 1):
                if any(value is not None for value in row):
                    yield number, row
            for book in books:
                book.close()

    def _checked(self, values: Any, formulas: Any) -> Iterator[tuple[Any, ...]]:
        """The values of a sheet's rows.

        Raises:
            DataFormatError: for a formula whose value the file does not hold.
        """
        rows = zip(values.iter_rows(), formulas.iter_rows(values_only=True), strict=True)
        for number, (row, written) in enumerate(rows, 1):
            for cell, formula in zip(row, written, strict=True):
                if cell.value is None and formula is not None and cell.data_type == "n":  # an empty text is a "str"
                    raise DataFormatError(
                        f"{self.name}, row {number}: a cell holds a formula, and the file holds no value of it.",
                        hint="Open it in a spreadsheet program and save it there, or save the values alone.",
                    )
            yield tuple(cell.value for cell in row)

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
            DataFormatError: for a value in a column without a name.
        """
        width = len(self.columns)
        found = self._rows()
        if self._has_header:
            next(found, None)
        while part := list(islice(found, rows)):
            for number, row in part:
                if any(value is not None for value in row[width:]):
                    raise DataFormatError(f"{self.name}, row {number}: a value beyond the {width} named columns.")
            columns = {
                name: [row[place] if place < len(row) else None for _, row in part]
                for place, name in enumerate(self.columns)
            }
            yield Chunk(columns, self.name, [number for number, _ in part], "row")


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
