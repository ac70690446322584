"""The tables of a source by split: as the names of files say, or a column of the only file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import DataFormatError
from shared.tables import find_splits, split_of_name
from training.config.data import SourceConfig
from training.data.column import numbered
from training.data.sources.base import DEV, TEST, TRAIN, WHOLE
from training.data.sources.tabular import Table, read_table
from training.data.sources.vocabulary import split_column

SPLITS = (TRAIN, DEV, TEST, WHOLE)


def read_split_tables(path: Path, source: SourceConfig) -> tuple[dict[str, Table], list[str]]:
    """The table of each split, or one of all rows, and what was decided about them.

    A column of splits goes before the name of the only file. Several files are the splits, and a column that is named
    may not say otherwise.

    Raises:
        DataFormatError: when the column that is named is not there, or contradicts the files.
    """
    found = find_splits(path)
    tables = {split: read_table(files, source) for split, files in found.files.items()}
    notes = [note for table in tables.values() for note in table.notes]
    split, first = next(iter(tables.items()))
    column = split_column_of(first, source)
    if column is None or split == WHOLE:
        return tables, [*found.notes, *notes]
    said = source.split_column is not None
    if len(tables) == 1 and (said or not _rows_outside(first, column, TRAIN, DEV, TEST)):
        beside = found.notes if path.is_dir() else []  # of a file they say that its name is that of a split
        choice = f"the column '{column}' says the splits, and not the name of {first.path.name}"
        return {WHOLE: first}, [choice, *beside, *notes]
    for split, table in tables.items():
        count = _rows_outside(table, column, split) if column in table.columns else 0
        if not count:
            continue
        what = f"{table.path.name} is the {split} split by its name, and"
        rows = f"in {count:,} of {len(table):,} rows"
        if said:
            raise DataFormatError(
                f"{what} its column '{column}' says otherwise {rows}.",
                hint="Say data.split_column none to take the files as the splits, or give data.path one file.",
            )
        notes.append(f"{what} not by its column '{column}', which says otherwise {rows}")
    return tables, [*found.notes, *notes]


def split_column_of(table: Table, source: SourceConfig) -> str | None:
    """The column that names each row's split: the one that the user says, or one that is called so.

    Raises:
        DataFormatError: when the table has no such column.
    """
    said = source.split_column
    if said is None:
        return split_column(table.columns)
    if said == "none":
        return None
    if said not in table.columns:
        raise DataFormatError(
            f"{table.path} has no column '{said}', which data.split_column names; it has {', '.join(table.columns)}."
        )
    return said


def splits_in(table: Table, column: str) -> NDArray[np.int8]:
    """The split of every row by a column, as its place in `SPLITS`.

    Raises:
        DataFormatError: when it holds other words than the names of splits.
    """
    words, place = _words(table, column)
    known = {word: split_of_name(word) for word in words}
    strange = sorted(word for word, split in known.items() if split is None)
    if strange:
        raise DataFormatError(
            f"{table.path}, column '{column}' holds {', '.join(strange[:5])}; expected train, dev and test.",
            hint="Say data.split_column none to leave it aside, or rename its values.",
        )
    return np.array([SPLITS.index(str(known[word])) for word in words], np.int8)[place]


def _rows_outside(table: Table, column: str, *splits: str) -> int:
    """Rows whose value in a column names none of some splits."""
    words, place = _words(table, column)
    return int(np.array([split_of_name(word) not in splits for word in words], np.bool_)[place].sum())


def _words(table: Table, column: str) -> tuple[list[str], NDArray[np.intp]]:
    """The different values of a column, and which of them each row has."""
    return numbered(str(value).strip() for value in table.columns[column])
