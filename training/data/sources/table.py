"""Any table: the columns of text and labels are found by name and content, or named by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.context import turns_to_json
from shared.errors import ConfigError, DataFormatError, DataNotFoundError, EmptyDataError, InvalidInputError
from shared.languages import language_code
from shared.tables import find_splits, split_of_name
from shared.tables.values import to_text
from shared.text import normalise
from training.config.data import SourceConfig
from training.data.files import existing, read_lines
from training.data.sources.base import DEV, TEST, TRAIN, WHOLE, RawCorpus, RawSplit
from training.data.sources.cells import MISSING
from training.data.sources.columns import Columns, find_columns
from training.data.sources.dates import read_dates
from training.data.sources.label_cells import LabelCells
from training.data.sources.label_column import read_cells
from training.data.sources.ratings import LabelRows, aggregate_rows
from training.data.sources.tabular import Table, read_table
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
    found = find_splits(path)
    tables = {split: read_table(files, source) for split, files in found.files.items()}
    corpus = label_tables(tables, path, source, wanted)
    return replace(corpus, notes=(*corpus.notes, *found.notes, *(note for t in tables.values() for note in t.notes)))


def label_tables(
    tables: Mapping[str, Table], path: Path, source: SourceConfig, wanted: Sequence[str] = ()
) -> RawCorpus:
    """The labels of the tables of all splits, read together, so that one rule holds for all of them."""
    first = next(iter(tables.values()))
    if not any(len(table) for table in tables.values()):
        raise EmptyDataError(f"{first.path} has a header and no rows.")
    columns = _columns_of(tables, source, wanted)
    tables, unlabelled = _labelled(tables, columns)
    values = _Values.of(tables, columns)
    labels = _read_one_hot(tables, columns, source) if columns.one_hot else _read_column(tables, columns, source)
    splits_of = _splits(tables, columns)
    kept = np.flatnonzero(labels.known.any(axis=1))
    rows = labels.take(kept)
    texts, ids = [values.texts[row] for row in kept], [values.ids[row] for row in kept]
    splits_of = [splits_of[row] for row in kept]
    context, dialogues = table_context(tables, source, values.texts, _named)
    keys = [normalise(text or "") for text in texts]
    if context is not None:
        keys = [f"{key} {turns_to_json(context[row])}" for key, row in zip(keys, kept, strict=True)]
    if list(tables) != [WHOLE] or columns.split:
        keys = [f"{split} {key}" for split, key in zip(splits_of, keys, strict=True)]
    grouped = aggregate_rows(keys, rows, _answers(tables, columns, kept), source, str(first.path))
    if grouped is not None:
        texts, ids = [texts[row] for row in grouped.rows], [ids[row] for row in grouped.rows]
        splits_of = [splits_of[row] for row in grouped.rows]
        rows = rows._replace(targets=grouped.targets, known=grouped.known)
        kept = kept[grouped.rows]
    dates, groups = row_dates(tables, source, kept), row_groups(tables, source, kept)
    languages = row_languages(tables, source, kept)
    splits = {}
    for split in [name for name in (TRAIN, DEV, TEST, WHOLE) if name in splits_of]:
        chosen = np.array([row for row, name in enumerate(splits_of) if name == split], dtype=np.intp)
        splits[split] = RawSplit(
            [texts[row] for row in chosen], rows.targets[chosen], [ids[row] for row in chosen],
            known=rows.known[chosen], created_s=None if dates is None else dates[chosen],
            groups=None if groups is None else [groups[row] for row in chosen],
            languages=None if languages is None else [languages[row] for row in chosen],
            context=None if context is None else [context[kept[row]] for row in chosen],
            dialogues=None if dialogues is None else [dialogues[kept[row]] for row in chosen],
        )  # fmt: skip
    missing = (
        {}
        if WHOLE in splits
        else {s: f"no {s} file in {path.absolute()}" for s in (TRAIN, DEV, TEST) if s not in splits}
    )
    notes = (columns.described(rows.form), *columns.notes, *rows.notes, *(grouped.notes if grouped else ()))
    return RawCorpus(
        "table", str(path.absolute()), rows.labels, splits, LICENCE, strict=True, numbered=rows.numbered,
        inferred=rows.inferred, missing={**missing, **unlabelled},
        refused={"rows without a label": len(values.texts) - len(kept), **(grouped.refused if grouped else {})},
        notes=notes,
    )  # fmt: skip


class _Values(NamedTuple):
    """Texts and names of the rows of all splits."""

    texts: list[str | None]
    ids: list[str]

    @classmethod
    def of(cls, tables: Mapping[str, Table], columns: Columns) -> _Values:
        texts: list[str | None] = []
        ids: list[str] = []
        for table in tables.values():
            texts += [None if text is None else str(text) for text in table.columns[columns.text]]
            names = (
                [str(name) for name in table.columns[columns.id]] if columns.id and columns.id in table.columns else []
            )
            if len(set(names)) < len(table):
                names = [f"{table.path.stem}:{row}" for row in range(1, len(table) + 1)]
            ids += names
        return cls(texts, ids)


def row_dates(tables: Mapping[str, Table], source: SourceConfig, kept: NDArray[np.intp]) -> NDArray[np.float64] | None:
    """Seconds since 1970 of the rows kept; None where no column is named."""
    if source.date_column is None:
        return None
    values = _named(tables, source.date_column, "data.date_column")
    first = next(iter(tables.values()))
    return read_dates([values[row] for row in kept], f"{first.path}, column '{source.date_column}'")


def row_groups(tables: Mapping[str, Table], source: SourceConfig, kept: NDArray[np.intp]) -> list[str] | None:
    """What the rows kept belong to, "" for an empty cell; None where no column is named."""
    if source.group_column is None:
        return None
    values = _named(tables, source.group_column, "data.group_column")
    return [to_text(values[row]).strip() for row in kept]


def row_languages(tables: Mapping[str, Table], source: SourceConfig, kept: NDArray[np.intp]) -> list[str] | None:
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
    codes = {value: _code(value, f"{first.path}, column '{source.language_column}'") for value in set(values)}
    return [codes[values[row]] for row in kept]


def _code(value: Any, where: str) -> str:
    if value is None or not str(value).strip():
        return ""
    try:
        return language_code(str(value))
    except InvalidInputError as error:
        raise DataFormatError(f"{where}: {error.message}", hint=error.hint) from None


def _named(tables: Mapping[str, Table], name: str, key: str) -> list[Any]:
    """The cells of a column that the user names, of all splits.

    Raises:
        DataFormatError: when a table has no such column.
    """
    for table in tables.values():
        if name not in table.columns:
            raise DataFormatError(
                f"{table.path} has no column '{name}', which {key} names; it has {', '.join(table.columns)}."
            )
    return list(chain.from_iterable(table.columns[name] for table in tables.values()))


def _columns_of(tables: Mapping[str, Table], source: SourceConfig, wanted: Sequence[str]) -> Columns:
    """The columns that matter, found over the rows of all splits that have them."""
    first = next(iter(tables.values()))
    alike = [table for table in tables.values() if set(first.columns) <= set(table.columns)]
    named = (source.date_column, source.group_column, source.language_column, source.context_column,
             source.dialogue_column, source.speaker_column)  # fmt: skip
    aside = set(named) - {source.text_column, source.label_column}
    names = [name for name in first.columns if name not in aside]
    joined = {name: list(chain.from_iterable(table.columns[name] for table in alike)) for name in names}
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


def _splits(tables: Mapping[str, Table], columns: Columns) -> list[str]:
    """The split of every row: by its file, or by the split column of a file that holds them all."""
    if columns.split is None or list(tables) != [WHOLE]:
        return [split for split, table in tables.items() for _ in range(len(table))]
    (table,) = tables.values()
    found = splits_in(table, columns.split)
    columns.notes.append(f"splits are those of the column '{columns.split}'")
    return found


def splits_in(table: Table, column: str) -> list[str]:
    """The split of every row by a column.

    Raises:
        DataFormatError: when it holds other words than the names of splits.
    """
    words = [str(value).strip() for value in table.columns[column]]
    known = {word: split_of_name(word) for word in set(words)}
    strange = sorted(word for word, split in known.items() if split is None)
    if strange:
        raise DataFormatError(
            f"{table.path}, column '{column}' holds {', '.join(strange[:5])}; expected train, dev and test.",
            hint="Say data.split_column none to leave it aside, or rename its values.",
        )
    return [str(known[word]) for word in words]


def _read_one_hot(tables: Mapping[str, Table], columns: Columns, source: SourceConfig) -> LabelRows:
    """One 0/1 column per label; an empty cell says nothing about its label, unless blanks are said to be a no."""
    parts = [_shares(table, columns.labels, source) for table in tables.values()]
    targets = np.concatenate([shares for shares, _ in parts])
    known = np.concatenate([filled for _, filled in parts])
    blank = int((~known).sum())
    notes = []
    if blank and source.blanks == "negative":
        known[:] = True
        notes.append(f"{blank:,} empty cells are read as no")
    elif blank:
        notes.append(f"{blank:,} empty cells are unknown, and masked; data.blanks negative reads them as no")
    return LabelRows(targets, known, columns.labels, False, False, "one 0/1 column per label", notes)


def _shares(table: Table, names: Sequence[str], source: SourceConfig) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Values of 0/1 columns and which cells are filled, both of shape (N, K)."""
    targets = np.zeros((len(table), len(names)), dtype=np.float32)
    known = np.ones(targets.shape, dtype=np.bool_)
    for place, name in enumerate(names):
        read: dict[Any, float | None] = {}
        for row, value in enumerate(table.columns[name]):
            key = (type(value), value)
            if key not in read:
                read[key] = _share(value, source, f"{table.path}, column '{name}', row {row + 1}")
            share = read[key]
            if share is None:
                known[row, place] = False
            else:
                targets[row, place] = share
    return targets, known


def _share(value: Any, source: SourceConfig, where: str) -> float | None:
    word = str(value).strip().lower()
    if value is None or word in MISSING:
        return None
    if word in ("true", "yes", "false", "no"):
        return float(word in ("true", "yes"))
    try:
        number = float(word)
    except ValueError:
        number = -1.0
    if source.positive_from is not None and number >= 0:
        return float(number >= source.positive_from)
    if 0 <= number <= 1 if source.soft_labels else number in (0, 1):
        return number
    allowed = "0..1" if source.soft_labels else "0 or 1 (data.soft_labels allows shares in 0..1)"
    raise DataFormatError(
        f"{where}: {value!r}; allowed: {allowed}.",
        hint="Counts and intensities are read with data.positive_from, from which value on they are a yes.",
    )


def _read_column(tables: Mapping[str, Table], columns: Columns, source: SourceConfig) -> LabelRows:
    column = columns.labels[0]
    first = next(iter(tables.values()))
    where = f"{first.path}, column '{column}'"
    values = list(chain.from_iterable(table.columns[column] for table in tables.values()))
    names = source.labels or first.class_names.get(column)
    beside = first.path.parent / LABEL_FILE
    lines = [line.strip() for line in read_lines(beside)] if names is None and beside.is_file() else None
    cells = _read_cells(values, where, source, names, lines)
    targets, known = cells.targets[cells.codes], cells.known[cells.codes]
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


def _answers(tables: Mapping[str, Table], columns: Columns, kept: NDArray[np.intp]) -> dict[str, list[Any]]:
    """The answers of every rater's column, of the rows kept."""
    joined = {
        name: list(chain.from_iterable(table.columns.get(name, [None] * len(table)) for table in tables.values()))
        for name in columns.raters
    }
    return {name: [answers[row] for row in kept] for name, answers in joined.items()}
