"""Any table: the columns of text and labels are found by name and content, or named by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.context import Context, turns_to_json
from shared.errors import ConfigError, DataFormatError, DataNotFoundError, EmptyDataError, InvalidInputError
from shared.languages import language_code
from shared.tables.values import name_in
from shared.text import normalise
from training.config.data import SourceConfig
from training.data import arrays
from training.data.column import Column
from training.data.files import existing, read_lines
from training.data.keys import first_rows, has_repeats
from training.data.sources.base import DEV, TEST, TRAIN, WHOLE, RawCorpus, RawSplit
from training.data.sources.columns import Columns, find_columns
from training.data.sources.dates import read_dates
from training.data.sources.label_cells import LabelCells
from training.data.sources.label_column import read_cells
from training.data.sources.one_hot import read_one_hot
from training.data.sources.ratings import LabelRows, aggregate_rows
from training.data.sources.split_tables import SPLITS, read_split_tables, splits_in
from training.data.sources.tabular import Table
from training.data.sources.turns import table_context

LICENCE = "your own; check the terms of your data"
LABEL_FILE = "labels.txt"


def read_table_source(source: SourceConfig, wanted: Sequence[str] = ()) -> RawCorpus:
    """Read a file, or a folder with one file for each split.

    Args:
        source: what the user says.
        wanted: labels of the model, where they are known.

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
    tables, notes = read_split_tables(path, source)
    corpus = label_tables(tables, path, source, wanted)
    return replace(corpus, notes=(*corpus.notes, *notes))


def label_tables(
    tables: Mapping[str, Table], path: Path, source: SourceConfig, wanted: Sequence[str] = ()
) -> RawCorpus:
    """The labels of the tables of all splits, read together, so that one rule holds for all of them."""
    first = next(iter(tables.values()))
    if not any(len(table) for table in tables.values()):
        raise EmptyDataError(f"{first.path} has a header and no rows.")
    columns = _columns_of(tables, source, wanted)
    tables, unlabelled = _labelled(tables, columns)
    texts, ids = _texts(tables, columns.text), _ids(tables, columns.id)
    labels = (
        read_one_hot(tables.values(), columns.labels, source)
        if columns.one_hot
        else _read_column(tables, columns, source)
    )
    splits_of = _splits(tables, columns)
    kept = np.flatnonzero(labels.known.any(axis=1))
    if not len(kept):
        raise EmptyDataError(f"no row of {first.path} has a label: {', '.join(columns.labels[:4])} are blank.")
    blank = len(texts) - len(kept)
    rows = labels.take(kept)
    context, dialogues = table_context(tables, source, texts, _named)
    first_of = first_rows(_keys(texts.take(kept), context and context.take(kept)), within=splits_of[kept])
    grouped = aggregate_rows(first_of, rows, _answers(tables, columns, kept), source, str(first.path))
    if grouped is not None:
        rows = rows._replace(targets=grouped.targets, known=grouped.known)
        kept = kept[grouped.rows]
    whole = RawSplit(
        texts.take(kept), rows.targets, ids.take(kept), known=rows.known,
        created_s=row_dates(tables, source, kept), groups=row_groups(tables, source, kept),
        languages=row_languages(tables, source, kept), context=context and context.take(kept),
        dialogues=dialogues and dialogues.take(kept),
    )  # fmt: skip
    splits = divided(whole, splits_of[kept])
    missing = {**missing_splits(tables, splits, path), **unlabelled}
    notes = (columns.described(rows.form), *columns.notes, *rows.notes, *(grouped.notes if grouped else ()))
    return RawCorpus(
        "table", str(path.absolute()), rows.labels, splits, LICENCE, strict=True, numbered=rows.numbered,
        inferred=rows.inferred, missing=missing,
        refused={"rows without a label": blank, **(grouped.refused if grouped else {})},
        notes=notes,
    )  # fmt: skip


def _texts(tables: Mapping[str, Table], name: str) -> Column[str | None]:
    """The texts of the rows of all splits."""
    return Column.joined([table.texts(name) for table in tables.values()])


def _ids(tables: Mapping[str, Table], name: str | None) -> Column[str]:
    """Names of the rows of all splits: those of a column whose values are distinct, else file and number."""
    parts = []
    for table in tables.values():
        names = Column.of(map(str, table.columns[name])) if name and name in table.columns else None
        if names is None or has_repeats(names):
            stem = table.path.stem
            names = Column.of(f"{stem}:{row}" for row in range(1, len(table) + 1))
        parts.append(names)
    return Column.joined(parts)


def _keys(texts: Column[str | None], context: Column[Context] | None) -> Column[str]:
    """Equal for rows of one text: normalised texts, with the turns before them where there are any."""
    keys = texts.as_texts("").map(normalise)
    if context is None:
        return keys
    return Column.of(f"{key} {turns_to_json(turns)}" for key, turns in zip(keys, context, strict=True))


def divided(whole: RawSplit, splits_of: NDArray[np.int8]) -> dict[str, RawSplit]:
    """The rows of each split there is, by the place of its name in `SPLITS`, shape (N,)."""
    found = {}
    for place, split in enumerate(SPLITS):
        rows = np.flatnonzero(splits_of == place)
        if len(rows):
            found[split] = whole.take(rows)
    return found


def missing_splits(tables: Mapping[str, Table], splits: Mapping[str, RawSplit], path: Path) -> dict[str, str]:
    """Why each split that is not there is not: no file, or none of its rows has a label."""
    if WHOLE in splits:
        return {}
    return {
        split: f"{tables[split].path.name} has no row with a label" if split in tables
        else f"no labelled row of {tables[WHOLE].path.name} is in {split}" if WHOLE in tables
        else f"no {split} file in {path.absolute()}"
        for split in (TRAIN, DEV, TEST) if split not in splits
    }  # fmt: skip


def row_dates(tables: Mapping[str, Table], source: SourceConfig, kept: NDArray[np.intp]) -> NDArray[np.float64] | None:
    """Seconds since 1970 of the rows kept; None where no column is named."""
    if source.date_column is None:
        return None
    values = _named(tables, source.date_column, "data.date_column")
    first = next(iter(tables.values()))
    return read_dates(values.take(kept), f"{first.path}, column '{source.date_column}'")


def row_groups(tables: Mapping[str, Table], source: SourceConfig, kept: NDArray[np.intp]) -> Column[str] | None:
    """What the rows kept belong to, "" for an empty cell; None where no column is named."""
    if source.group_column is None:
        return None
    values = _named(tables, source.group_column, "data.group_column")
    return Column.of(name_in(value) for value in values.take(kept))


def row_languages(tables: Mapping[str, Table], source: SourceConfig, kept: NDArray[np.intp]) -> Column[str] | None:
    """Code of the language of the rows kept, "" for an empty cell; None where no column is named.

    Raises:
        ConfigError: when the language of all rows is named besides.
        DataFormatError: for a cell that is no code of a language.
    """
    if source.language_column is None:
        return None
    if source.language is not None:
        raise ConfigError("data.language and data.language_column are both given; give one of them.")
    values = _named(tables, source.language_column, "data.language_column")
    first = next(iter(tables.values()))
    words = Column.of(map(name_in, values))
    codes = {word: _code(word, f"{first.path}, column '{source.language_column}'") for word in set(words)}
    return Column.of(codes[word] for word in words.take(kept))


def _code(word: str, where: str) -> str:
    if not word:
        return ""
    try:
        return language_code(word)
    except InvalidInputError as error:
        raise DataFormatError(f"{where}: {error.message}", hint=error.hint) from None


def _named(tables: Mapping[str, Table], name: str, key: str) -> Column[Any]:
    """The cells of a column that the user names, of all splits.

    Raises:
        DataFormatError: when a table has no such column.
    """
    for table in tables.values():
        if name not in table.columns:
            raise DataFormatError(
                f"{table.path} has no column '{name}', which {key} names; it has {', '.join(table.columns)}."
            )
    return Column.joined([table.columns[name] for table in tables.values()])


def _columns_of(tables: Mapping[str, Table], source: SourceConfig, wanted: Sequence[str]) -> Columns:
    """The columns that matter, found over the rows of all splits that have them."""
    first = next(iter(tables.values()))
    alike = [table for table in tables.values() if set(first.columns) <= set(table.columns)]
    named = (source.date_column, source.group_column, source.language_column, source.context_column,
             source.dialogue_column, source.speaker_column)  # fmt: skip
    aside = set(named) - {source.text_column, source.label_column}
    names = [name for name in first.columns if name not in aside]
    joined = {name: Column.joined([table.columns[name] for table in alike]) for name in names}
    return find_columns(str(first.path), joined, source, wanted, tuple(first.class_names))


def _labelled(tables: Mapping[str, Table], columns: Columns) -> tuple[dict[str, Table], dict[str, str]]:
    """The tables that have the label columns, and why another held-out split is left out.

    Raises:
        DataFormatError: when one lacks the text, or has columns that the first has not.
        EmptyDataError: when one has no rows.
    """
    first = next(iter(tables.values()))
    kept, missing = {}, {}
    for split, table in tables.items():
        lacking = [name for name in (columns.text, *columns.labels) if name not in table.columns]
        if set(lacking) == set(columns.labels) and set(table.columns) <= set(first.columns) and split != TRAIN:
            missing[split] = f"{table.path.name} has no labels (no column {', '.join(lacking[:4])})"
            continue
        if lacking:
            raise DataFormatError(
                f"{table.path} lacks the columns {', '.join(lacking)}; it has {', '.join(table.columns)}."
            )
        if not len(table):
            raise EmptyDataError(f"{table.path} has a header and no rows.")
        kept[split] = table
    return kept, missing


def _splits(tables: Mapping[str, Table], columns: Columns) -> NDArray[np.int8]:
    """The split of every row, as its place in `SPLITS`: by its file, or by the split column of a file of all rows."""
    if columns.split is None or list(tables) != [WHOLE]:
        return np.repeat(np.array([SPLITS.index(split) for split in tables], np.int8), list(map(len, tables.values())))
    (table,) = tables.values()
    found = splits_in(table, columns.split)
    columns.notes.append(f"splits are those of the column '{columns.split}'")
    return found


def _read_column(tables: Mapping[str, Table], columns: Columns, source: SourceConfig) -> LabelRows:
    column = columns.labels[0]
    first = next(iter(tables.values()))
    where = f"{first.path}, column '{column}'"
    values = Column.joined([table.columns[column] for table in tables.values()])
    names = source.labels or first.class_names.get(column)
    beside = first.path.parent / LABEL_FILE
    lines = [line.strip() for line in read_lines(beside)] if names is None and beside.is_file() else None
    cells = _read_cells(values, where, source, names, lines)
    targets, known = arrays.copied_rows(cells.targets, cells.codes), arrays.copied_rows(cells.known, cells.codes)
    known[cells.codes < 0] = False
    return LabelRows(targets, known, cells.labels, cells.numbered, cells.inferred, cells.form, cells.notes)


def _read_cells(
    values: Sequence[Any], where: str, source: SourceConfig, names: Sequence[str] | None, beside: list[str] | None
) -> LabelCells:
    """The label column; a label file beside the table names its ids or the places of its vectors."""
    if beside is None:
        return read_cells(values, where, source, names)
    try:
        cells = read_cells(values, where, source)
    except DataFormatError:  # what can be read in two ways may be sure when the number of labels is known
        return read_cells(values, where, source, beside)
    if not cells.numbered:
        return cells
    cells = read_cells(values, where, source, beside)
    return replace(cells, form=f"{cells.form}, named by {LABEL_FILE}")


def _answers(tables: Mapping[str, Table], columns: Columns, kept: NDArray[np.intp]) -> dict[str, Column[Any]]:
    """The answers of every rater's column, of the rows kept."""
    return {
        name: Column.joined([
            table.columns[name] if name in table.columns else Column.repeated(None, len(table))
            for table in tables.values()
        ]).take(kept)
        for name in columns.raters
    }  # fmt: skip
