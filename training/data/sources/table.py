"""Any table: the columns of text and labels are found by name and content, or named by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import DataFormatError, DataNotFoundError, EmptyDataError
from shared.labels import LabelSet
from shared.tables import find_splits
from training.config.data import SourceConfig
from training.data.files import existing, read_lines
from training.data.sources.base import DEV, TEST, TRAIN, WHOLE, RawCorpus, RawSplit
from training.data.sources.cells import LabelCells, read_cells
from training.data.sources.columns import Columns, find_columns
from training.data.sources.tabular import Table, read_table

LICENCE = "your own; check the terms of your data"
LABEL_FILE = "labels.txt"


def read_table_source(source: SourceConfig) -> RawCorpus:
    """Read a file, or a folder with one file for each split.

    Raises:
        DataNotFoundError: when nothing is there.
        DataFormatError: when the columns are ambiguous or not found, or cells are not labels.
        EmptyDataError: when there is no row.
    """
    if source.path is None:
        raise DataNotFoundError(
            "data.source=table needs data.path.", hint="Give a CSV, TSV, JSONL or Parquet file, or a folder of them."
        )
    path = existing(
        Path(source.path), "the table", "Give data.path a CSV, TSV, JSONL or Parquet file, or a folder of them."
    )
    found = find_splits(path)
    tables = {split: read_table(files, source) for split, files in found.files.items()}
    first = next(iter(tables.values()))
    columns = find_columns(first, source)
    for table in tables.values():
        _check_table(table, columns)
    splits, labels, form, numbered = _read_labels(tables, columns, source)
    missing = (
        {}
        if WHOLE in splits
        else {s: f"no {s} file in {path.absolute()}" for s in (TRAIN, DEV, TEST) if s not in splits}
    )
    unlabelled = sum(len(table) for table in tables.values()) - sum(len(split) for split in splits.values())
    return RawCorpus(
        "table", str(path.absolute()), labels, splits, LICENCE, strict=True, numbered=numbered, missing=missing,
        refused={"rows without a label": unlabelled},
        notes=(columns.described(form), *found.notes, *(note for table in tables.values() for note in table.notes)),
    )  # fmt: skip


def _check_table(table: Table, columns: Columns) -> None:
    lacking = [name for name in (columns.text, *columns.labels) if name not in table.columns]
    if lacking:
        raise DataFormatError(
            f"{table.path} lacks the columns {', '.join(lacking)}; it has {', '.join(table.columns)}.",
        )
    if not len(table):
        raise EmptyDataError(f"{table.path} has a header and no rows.")


def _read_labels(
    tables: Mapping[str, Table], columns: Columns, source: SourceConfig
) -> tuple[dict[str, RawSplit], tuple[str, ...], str, bool]:
    """Splits, names of the labels, the form of the cells in words, and whether the names are bare ids."""
    if columns.one_hot:
        splits = {
            split: _split(
                table, columns, np.arange(len(table)), _shares(table, columns.labels, soft=source.soft_labels)
            )
            for split, table in tables.items()
        }
        return splits, columns.labels, "one 0/1 column per label", False
    column = columns.labels[0]
    read = {split: _cells(table, column, source) for split, table in tables.items()}
    names = tuple(dict.fromkeys(name for cells in read.values() for name in cells.labels))
    numbered = all(cells.numbered for cells in read.values())
    labels = LabelSet(tuple(sorted(names, key=int)) if numbered else names)
    splits = {}
    for split, cells in read.items():
        rows = np.array([row for row, found in enumerate(cells.rows) if found is not None], dtype=np.intp)
        targets = labels.multi_hot([found for found in cells.rows if found is not None])
        splits[split] = _split(tables[split], columns, rows, targets)
    return splits, labels.names, next(iter(read.values())).form, numbered


def _cells(table: Table, column: str, source: SourceConfig) -> LabelCells:
    where = f"{table.path}, column '{column}'"
    names = source.labels or table.class_names.get(column)
    cells = read_cells(table.columns[column], where, delimiter=source.delimiter, names=names)
    beside = table.path.parent / LABEL_FILE
    if cells.numbered and beside.is_file():
        names = [line.strip() for line in read_lines(beside)]
        cells = read_cells(table.columns[column], where, delimiter=source.delimiter, names=names)
        return replace(cells, form=f"{cells.form}, named by {LABEL_FILE}")
    return cells


def _shares(table: Table, names: Sequence[str], *, soft: bool) -> NDArray[np.float32]:
    """Values of 0/1 columns, shape (N, K)."""
    targets = np.zeros((len(table), len(names)), dtype=np.float32)
    for place, name in enumerate(names):
        for row, value in enumerate(table.columns[name]):
            share = _number(value)
            if share is None or not (0 <= share <= 1 if soft else share in (0, 1)):
                allowed = "0..1" if soft else "0 or 1 (data.soft_labels allows shares in 0..1)"
                raise DataFormatError(f"{table.path}, column '{name}', row {row + 1}: {value!r}; allowed: {allowed}.")
            targets[row, place] = share
    return targets


def _number(value: Any) -> float | None:
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return float(value.strip().lower() == "true")
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _split(table: Table, columns: Columns, rows: NDArray[np.intp], targets: NDArray[np.float32]) -> RawSplit:
    texts = table.columns[columns.text]
    names = [str(name) for name in table.columns[columns.id]] if columns.id else []
    if len(set(names)) < len(table):
        names = [f"{table.path.stem}:{row}" for row in range(1, len(table) + 1)]
    return RawSplit(
        [None if texts[row] is None else str(texts[row]) for row in rows], targets, [names[row] for row in rows]
    )
