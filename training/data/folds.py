"""Cross-validation: training and dev rows pooled and cut into folds, of which one is dev."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.errors import EmptyDataError
from training.data.clean import merge_duplicates
from training.data.parts import Part
from training.data.report import SplitCounts
from training.data.sources.base import DEV, TEST, TRAIN
from training.data.splits import stratified_split


def take_fold(parts: Sequence[Part], folds: int, fold: int, seed: int) -> list[Part]:
    """Train and dev parts become a dev part of the rows in `fold` and a train part of all others; test stays.

    A text that stood in dev and in test too would leak now: `remove_leaks` has to follow.

    Folds are disjoint by text, hold every row once, and keep the share of every label (iterative stratification).

    Args:
        parts: of all sources, leaks already removed.
        folds: number of folds.
        fold: which of them is dev, from 1 on.
        seed: the same seed gives the same folds.

    Raises:
        EmptyDataError: when there are too few rows for that many folds.
    """
    pool = _distinct([part for part in parts if part.split in (TRAIN, DEV)])
    targets = np.concatenate([part.targets for part in pool])
    pieces = stratified_split(targets, [1 / folds] * folds, seed)
    if not all(len(piece) for piece in pieces):
        raise EmptyDataError(f"{len(targets)} rows are too few for {folds} folds.", hint="Lower data.folds.")
    held = np.zeros(len(targets), dtype=bool)
    held[pieces[fold - 1]] = True
    cut, start = [], 0
    for part in pool:
        inside = held[start : start + len(part)]
        start += len(part)
        for name, rows in ((TRAIN, np.flatnonzero(~inside)), (DEV, np.flatnonzero(inside))):
            if len(rows):
                cut.append(part.take(rows, split=name, counts=SplitCounts(part.source, name, read=len(rows))).counted())
    return [*cut, *(part for part in parts if part.split == TEST)]


def _distinct(parts: Sequence[Part]) -> list[Part]:
    """Each text once over all parts: an official dev split may repeat some, and no text may stand in two folds."""
    keys = [key for part in parts for key in part.keys]
    kept = merge_duplicates(keys, np.concatenate([part.targets for part in parts])).rows
    distinct, start = [], 0
    for part in parts:
        rows = kept[(kept >= start) & (kept < start + len(part))] - start
        start += len(part)
        distinct.append(part.take(rows))
    return distinct
