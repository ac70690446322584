"""Tables of any format as columns; read by `shared.tables`, as everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from shared.errors import DataFormatError, EmptyDataError
from shared.tables import Table as OpenTable
from shared.tables import TableOptions, open_table
from shared.tables.values import why_no_text
from training.config.data import SourceConfig
from training.data import arrays
from training.data.column import Column, ColumnWriter
from training.data.sources.kept import kept


@dataclass(frozen=True)
class Table:
    """A table of N rows.

    Attributes:
        path: its file, or the first of them.
        columns: N values of every column, in the order of the file; None for a missing value.
        class_names: names of label ids by column, where the file itself holds them (Parquet written by `datasets`).
        notes: choices made while reading, to be shown.
    """

    path: Path
    columns: Mapping[str, Column[Any]]
    class_names: Mapping[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def texts(self, name: str) -> Column[str | None]:
        """The texts of a column; None for a missing one.

        Raises:
            DataFormatError: for a cell that holds a list, an object or bytes.
        """
        column = self.columns[name]
        found = column.as_texts(None)
        if found is not column:
            for row, value in enumerate(column, 1):
                if reason := why_no_text(value):
                    raise DataFormatError(f"{self.path}, column '{name}', row {row}: {reason}.")
        return found


def table_options(source: SourceConfig) -> TableOptions:
    """What the user says about the files of a source."""
    return TableOptions(
        format=source.format, encoding=source.encoding, separator=source.separator, header=source.header,
        columns=None if source.columns is None else tuple(source.columns), sheet=source.sheet, quoting=source.quoting,
    )  # fmt: skip


def read_table(paths: Path | Sequence[Path], source: SourceConfig | None = None) -> Table:
    """Read a file, or several that are parts of one table.

    Raises:
        ConfigError: for an unknown suffix, or an option that does not fit the file.
        DataFormatError: for bytes, rows or a header that are not in order, or can be read in two ways.
        EmptyDataError: when there is no row.
    """
    files, options = [paths] if isinstance(paths, Path) else list(paths), table_options(source or SourceConfig())
    found = kept((options, *(file.resolve() for file in files)), lambda: _read(files, options))
    return replace(found, path=files[0])


def _read(files: Sequence[Path], options: TableOptions) -> Table:
    table = open_table(files, options)
    return Table(files[0], _columns(table), table.class_names, tuple(table.notes))


def _columns(table: OpenTable) -> dict[str, Column[Any]]:
    """All columns of a table; its rows are read some at a time."""
    writers = {name: ColumnWriter[Any]() for name in table.columns}
    rows = 0
    for chunk in table.chunks():
        for name in chunk.columns:
            if name not in writers:  # rows of JSON may have keys that those before have not
                writers[name] = ColumnWriter()
                for piece in arrays.pieces(rows):
                    writers[name].extend([None] * (piece.stop - piece.start))
        for name, writer in writers.items():
            writer.extend(chunk.columns.get(name) or [None] * len(chunk))
        rows += len(chunk)
    if not rows:
        raise EmptyDataError(f"{table.name} has a header and no rows.")
    return {name: writer.column() for name, writer in writers.items()}
