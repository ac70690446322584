"""Sheets of a workbook (.xlsx), read with openpyxl."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from shared.errors import ConfigError, DataFormatError, EmptyDataError
from shared.tables.byte_source import ByteSource
from shared.tables.chunk import Chunk
from shared.tables.delimited import checked_names
from shared.tables.options import TableOptions


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
                book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            except Exception as error:  # the library raises many kinds for a damaged file
                raise DataFormatError(f"{self.name} is not readable as a workbook: {error}.") from None
            for number, row in enumerate(self._sheet(book).iter_rows(values_only=True), 1):
                if any(value is not None for value in row):
                    yield number, row
            book.close()

    def _sheet(self, book: Any) -> Any:
        names = book.sheetnames
        wanted = self._options.sheet
        if wanted is None and len(names) == 1:
            return book[names[0]]
        if wanted in names:
            return book[wanted]
        if wanted is not None and wanted.isdecimal() and 1 <= int(wanted) <= len(names):
            return book[names[int(wanted) - 1]]
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
