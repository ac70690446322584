"""What a label column becomes, and the different cells it is made from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.config.data import LabelKeys
from training.data.sources.cells import Listed, Scored


@dataclass(frozen=True)
class LabelCells:
    """A label column, read: C different cells, K labels, N rows.

    Attributes:
        codes: which of the different cells each row has, shape (N,); -1 where it has none.
        targets: 0/1 or shares of every different cell, shape (C, K).
        known: what every different cell says something about, shape (C, K).
        labels: the K names.
        numbered: whether the names are bare ids or positions, as neither the file nor the user names them.
        inferred: whether the labels are those that occur, so that what else was annotated is not known.
        form: how the cells were read, in words.
        notes: choices made that may be wrong.
    """

    codes: NDArray[np.int32]
    targets: NDArray[np.float32]
    known: NDArray[np.bool_]
    labels: tuple[str, ...]
    numbered: bool
    inferred: bool
    form: str
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[list[str] | None]:
        """Names of each row's labels; None where the cell is empty."""
        named = [[self.labels[column] for column in np.flatnonzero(row >= 0.5)] for row in self.targets]
        return [None if code < 0 else named[code] for code in self.codes]


@dataclass
class Column:
    """The different cells of a column and what was said about it."""

    cells: list[Listed | Scored | None]
    counts: list[int]
    where: str
    keys: LabelKeys
    names: tuple[str, ...] | None
    form: str
    notes: list[str]

    @property
    def filled(self) -> list[Listed]:
        """The cells that are lists of tokens."""
        return [cell for cell in self.cells if isinstance(cell, Listed)]


def matrices(column: Column, size: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Targets of 0 and entries that are all known, shape (C, K)."""
    return np.zeros((len(column.cells), size), dtype=np.float32), np.ones((len(column.cells), size), dtype=np.bool_)


def finish(
    column: Column, codes: NDArray[np.int32], targets: NDArray[np.float32], known: NDArray[np.bool_],
    labels: tuple[str, ...], *, numbered: bool, form: str,
) -> LabelCells:  # fmt: skip
    """The column as it was read; rows of empty cells get no code."""
    empty = np.array([cell is None for cell in column.cells] or [False], dtype=bool)
    shown = np.where(empty[codes], -1, codes).astype(np.int32) if len(column.cells) else codes
    return LabelCells(
        shown, targets, known, labels, numbered, column.names is None and not numbered, form, column.notes
    )


def notes_on_nulls(column: Column, never: set[str]) -> list[str]:
    """What is said of values that are null, and of the labels that have `never` another."""
    nulls = sum(
        count * sum(map(math.isnan, cell.values()))
        for cell, count in zip(column.cells, column.counts, strict=True)
        if isinstance(cell, Scored)
    )
    notes = [f"{nulls:,} values are null: those labels are unknown for their rows"] if nulls else []
    if never:
        notes.append(f"labels that have no value in any row are left out: {', '.join(sorted(never))}")
    return notes
