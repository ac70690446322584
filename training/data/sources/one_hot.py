"""Tables with a column of 0 and 1, or of shares or counts, for every label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import DataFormatError
from training.config.data import SourceConfig
from training.data import arrays
from training.data.sources.cells import MISSING
from training.data.sources.ratings import LabelRows
from training.data.sources.tabular import Table


def read_one_hot(tables: Iterable[Table], labels: Sequence[str], source: SourceConfig) -> LabelRows:
    """The labels of the rows of all tables; an empty cell says nothing of its label, unless blanks are said to be a no.

    Args:
        tables: each with a column for every label.
        labels: names of the columns.
        source: what the user says of soft labels, counts and blanks.

    Raises:
        DataFormatError: for a cell that is no share of its label.
    """
    parts = [_shares(table, labels, source) for table in tables]
    targets = arrays.joined([shares for shares, _ in parts])
    known = arrays.joined([filled for _, filled in parts])
    blank = known.size - int(known.sum())
    notes = []
    if blank and source.blanks == "negative":
        known[:] = True
        notes.append(f"{blank:,} empty cells are read as no")
    elif blank:
        notes.append(f"{blank:,} empty cells are unknown, and masked; data.blanks negative reads them as no")
    return LabelRows(targets, known, tuple(labels), False, False, "one 0/1 column per label", notes)


def _shares(table: Table, names: Sequence[str], source: SourceConfig) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Values of 0/1 columns and which cells are filled, both of shape (N, K)."""
    targets = arrays.zeros((len(table), len(names)), np.float32)
    known = arrays.zeros(targets.shape, np.bool_)
    known[:] = True
    for place, name in enumerate(names):
        read: dict[Any, float | None] = {}
        for row, value in enumerate(table.columns[name]):
            key = (type(value), str(value) if isinstance(value, list | dict) else value)
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
        hint="Counts and intensities are read with data.positive_from, from which value on they are a yes; where the "
        "column is no label, name those that are with data.label_column.",
    )
