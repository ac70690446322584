"""What every source hands over: rows as they are in its files, with the labels it annotates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.context import Context
from shared.intensity import Scale
from training.data import arrays
from training.data.column import Column

TRAIN, DEV, TEST = "train", "dev", "test"
WHOLE = "all"
"""Name of the only split of a corpus that has no official ones."""


@dataclass(frozen=True)
class RawSplit:
    """Rows of one file or split, nothing dropped yet.

    Attributes:
        texts: N texts; None where the file has none.
        targets: 0..1, shape (N, K), K the labels the source annotates.
        ids: N row names, unique within the source.
        known: entries that are annotated, shape (N, K); all when None.
        created_s: time of writing in seconds since 1970, shape (N,), where the source knows it.
        groups: what each row belongs to, such as its writer, where the user names a column of it; "" for none.
        languages: code of the language of each row, where the source has several or the user names a column of it.
        context: the turns before each of the N texts, the oldest first, where the source has them.
        dialogues: of each row, unique within the source, where they are known; "" for a row in none.
    """

    texts: Sequence[str | None]
    targets: NDArray[np.float32]
    ids: Sequence[str]
    known: NDArray[np.bool_] | None = None
    created_s: NDArray[np.float64] | None = None
    groups: Sequence[str] | None = None
    languages: Sequence[str] | None = None
    context: Sequence[Context] | None = None
    dialogues: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: NDArray[np.integer]) -> RawSplit:
        """Some of the rows, in the order given."""
        fields: dict[str, Any] = {
            name: values if values is None else arrays.rows_of(values, rows) if isinstance(values, np.ndarray) else
            Column.of(values).take(rows) for name, values in vars(self).items()
        }  # fmt: skip
        return RawSplit(**fields)


@dataclass(frozen=True)
class RawCorpus:
    """A corpus as its files have it.

    Attributes:
        kind: the kind of source.
        origin: where it was read.
        labels: the K labels it annotates.
        splits: train, dev, test; or `all` for a corpus without official splits.
        licence: under which terms it may be used.
        strict: whether a label outside the model's set is an error, not dropped.
        numbered: whether the labels are bare ids, as the file names none.
        inferred: whether the labels are those that occur: what else was annotated is not known.
        missing: why an official split is not there.
        refused: rows the source itself left out, by reason.
        notes: choices made while reading, to be shown.
        language: code of the language of all rows, where they are of one and the source says so.
        scale: of intensities, whose shares 0..1 the targets are then; None where the labels hold or not.
    """

    kind: str
    origin: str
    labels: tuple[str, ...]
    splits: Mapping[str, RawSplit]
    licence: str
    strict: bool = False
    numbered: bool = False
    inferred: bool = False
    missing: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    language: str | None = None
    scale: Scale | None = None
