"""Any table with a column of intensities for each label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import ConfigError, DataFormatError, DataNotFoundError
from shared.intensity import Scale
from training.config.data import SourceConfig
from training.data import arrays
from training.data.column import Column
from training.data.files import existing
from training.data.keys import has_repeats
from training.data.sources.base import WHOLE, RawCorpus, RawSplit
from training.data.sources.cells import MISSING
from training.data.sources.split_tables import read_split_tables, split_column_of, splits_in
from training.data.sources.table import LICENCE, divided, missing_splits, row_dates, row_groups, row_languages
from training.data.sources.tabular import Table

HOW = "Give a CSV, TSV, JSONL or Parquet file, or a folder with one for each split, as data.path."
TEXT_NAMES = ("text", "tweet", "sentence", "content", "utterance")
ID_NAMES = ("id", "text_id")


def read_intensity_table(source: SourceConfig) -> RawCorpus:
    """Read the columns that `intensity_columns` names, whose values lie on `scale`; an empty cell is unknown.

    Splits, dates, groups and languages are those of a table of labels.

    Raises:
        ConfigError: when the columns or the scale are not named.
        DataNotFoundError: when nothing is there.
        DataFormatError: when a column is missing, or a value is no number on the scale.
    """
    if source.path is None:
        raise DataNotFoundError("data.source=table needs data.path.", hint=HOW)
    path = existing(Path(source.path), "the table", HOW)
    tables, choices = read_split_tables(path, source)
    first = next(iter(tables.values()))
    names = _column_names(first, source)
    if source.scale is None:
        raise ConfigError(
            f"data.scale does not say what the values of {', '.join(names)} lie between.",
            hint=_scale_hint(first, names),
        )
    scale = Scale.parse(source.scale)
    text = _text_column(first, source)
    splits = {split: _split(table, text, names, scale, source) for split, table in tables.items()}
    by = split_column_of(first, source) if WHOLE in splits else None
    if by is not None:
        splits = divided(splits[WHOLE], splits_in(first, by))
    empty = sum(split.known.size - int(split.known.sum()) for split in splits.values() if split.known is not None)
    notes = [f"texts are the column '{text}', intensities {', '.join(names)} on the scale {scale}"]
    notes += [f"splits are those of the column '{by}'"] if by is not None else []
    notes += [f"{empty:,} empty cells are unknown, and masked"] if empty else []
    return RawCorpus(
        "table", str(path.absolute()), names, splits, LICENCE, missing=missing_splits(tables, splits, path),
        scale=scale, notes=(*notes, *choices),
    )  # fmt: skip


def _column_names(table: Table, source: SourceConfig) -> tuple[str, ...]:
    if source.intensity_columns is None:
        numeric = [name for name, values in table.columns.items() if _numbers(values) is not None]
        raise ConfigError(
            f"data.intensity_columns does not name the columns of {table.path} that hold intensities.",
            hint=f"Columns of numbers are: {', '.join(numeric) or 'none'}; name one a label, separated by commas.",
        )
    names = tuple(name.strip() for name in source.intensity_columns.strip("[] ").split(",") if name.strip())
    absent = [name for name in names if name not in table.columns]
    if absent or not names:
        raise DataFormatError(
            f"{table.path} has no column {', '.join(absent) or '(none is named)'}, which data.intensity_columns names; "
            f"it has {', '.join(table.columns)}."
        )
    return names


def _text_column(table: Table, source: SourceConfig) -> str:
    if source.text_column is not None:
        if source.text_column not in table.columns:
            raise DataFormatError(
                f"{table.path} has no column '{source.text_column}', which data.text_column names; it has "
                f"{', '.join(table.columns)}."
            )
        return source.text_column
    found = [name for name in table.columns if name.strip().lower() in TEXT_NAMES]
    if len(found) != 1:
        said = "several columns" if found else "no column"
        raise DataFormatError(
            f"{table.path}: {said} may be the text ({', '.join(found or table.columns)}).",
            hint="Name it with data.text_column.",
        )
    return found[0]


def _scale_hint(table: Table, names: Sequence[str]) -> str:
    numbers = [number for name in names for number in _numbers(table.columns[name]) or () if number is not None]
    if not numbers:
        return "Say --data.scale low:high, or low:high:step."
    low, high = min(numbers), max(numbers)
    step = ":1" if all(number.is_integer() for number in numbers) else ""
    return f"The values go from {low:g} to {high:g}: say --data.scale {low:g}:{high:g}{step} if those are its ends."


def _numbers(values: Sequence[Any]) -> list[float | None] | None:
    """The numbers of a column, None for an empty cell; None where a cell is something else, or all are empty."""
    found: list[float | None] = []
    for value in values:
        word = "" if value is None else str(value).strip()
        if word.lower() in MISSING:
            found.append(None)
            continue
        try:
            found.append(float(word))
        except ValueError:
            return None
    return found if any(number is not None for number in found) else None


def _split(table: Table, text: str, names: Sequence[str], scale: Scale, source: SourceConfig) -> RawSplit:
    lacking = [name for name in (text, *names) if name not in table.columns]
    if lacking:
        raise DataFormatError(
            f"{table.path} lacks the columns {', '.join(lacking)}; it has {', '.join(table.columns)}."
        )
    rows = np.arange(len(table))
    targets, known = (arrays.zeros((len(table), len(names)), kind) for kind in (np.float32, np.bool_))
    for place, name in enumerate(names):
        shares = _on_scale(table, name, scale)
        targets[:, place], known[:, place] = np.nan_to_num(shares), ~np.isnan(shares)
    return RawSplit(
        table.texts(text), targets, _ids(table), known=known,
        created_s=row_dates({WHOLE: table}, source, rows), groups=row_groups({WHOLE: table}, source, rows),
        languages=row_languages({WHOLE: table}, source, rows),
    )  # fmt: skip


def _on_scale(table: Table, name: str, scale: Scale) -> NDArray[np.float64]:
    """Shares 0..1 of the scale, shape (N,); NaN for an empty cell."""
    shares = np.full(len(table), np.nan)
    for row, value in enumerate(table.columns[name]):
        numbers = _numbers([value])
        if numbers is None:
            if value is None or str(value).strip().lower() in MISSING:
                continue
            raise DataFormatError(f"{table.path}, column '{name}', row {row + 1}: {value!r} is no number.")
        share = float(scale.shares(numbers[0] or 0.0))
        level = share * ((scale.num_levels or 2) - 1)
        if not -1e-9 <= share <= 1 + 1e-9 or (scale.step is not None and abs(level - round(level)) > 1e-6):
            raise DataFormatError(
                f"{table.path}, column '{name}', row {row + 1}: {value!r} is not on the scale {scale}.",
                hint="Say what the values lie between with --data.scale low:high, or low:high:step.",
            )
        shares[row] = min(max(share, 0.0), 1.0)
    return shares


def _ids(table: Table) -> Column[str]:
    for name, values in table.columns.items():
        if name.strip().lower() in ID_NAMES:
            ids = Column.of(map(str, values))
            if not has_repeats(ids):
                return ids
    stem = table.path.stem
    return Column.of(f"{stem}:{row}" for row in range(1, len(table) + 1))
