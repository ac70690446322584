"""Splits and subsets that keep the share of every label: iterative stratification (Sechidis et al., ECML 2011)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from iterstrat.ml_stratifiers import IterativeStratification
from numpy.typing import NDArray

from shared.errors import EmptyDataError

Rows = NDArray[np.intp]


def stratified_split(targets: NDArray[np.floating], fractions: Sequence[float], seed: int) -> list[Rows]:
    """Rows of each part, disjoint, sorted, and together all rows.

    Args:
        targets: shape (N, L); a soft target counts as a label from 0.5 on.
        fractions: share of rows of each part; they sum to 1.
        seed: the same seed gives the same parts.
    """
    random = np.random.RandomState(seed)
    order = random.permutation(len(targets))
    hard = targets[order] >= 0.5
    part_of = IterativeStratification(labels=hard, r=np.asarray(fractions, dtype=float), random_state=random)
    return [np.sort(order[part_of == part]) for part in range(len(fractions))]


def temporal_split(created_s: NDArray[np.float64], fractions: Sequence[float]) -> list[Rows]:
    """Rows of each part, the oldest in the first and the newest in the last; rows of one second keep their order."""
    order = np.argsort(created_s, kind="stable")
    ends = np.round(np.cumsum(fractions) * len(order)).astype(int)
    return [np.sort(part) for part in np.split(order, ends[:-1])]


def stratified_subset(targets: NDArray[np.floating], size: int, seed: int) -> Rows:
    """Exactly `size` rows (all when there are fewer), labels in the proportions of the whole; sorted.

    Args:
        targets: shape (N, L).
        size: rows to keep.
        seed: the same seed gives the same rows.
    """
    total = len(targets)
    if size >= total:
        return np.arange(total)
    kept, rest = stratified_split(targets, (size / total, 1 - size / total), seed)
    random = np.random.default_rng(seed)
    if len(kept) > size:
        kept = random.permutation(kept)[:size]
    elif len(kept) < size:
        kept = np.concatenate([kept, random.permutation(rest)[: size - len(kept)]])
    return np.sort(kept)


def require_rows(parts: Sequence[Rows], names: Sequence[str], origin: str) -> None:
    """Refuse a split with an empty part.

    Raises:
        EmptyDataError: names the part and the number of rows there were.
    """
    total = sum(len(part) for part in parts)
    for name, part in zip(names, parts, strict=True):
        if not len(part):
            raise EmptyDataError(
                f"{origin} has {total} usable rows: too few to hold out a {name} split.",
                hint="Add rows, give official splits, or change data.dev_fraction and data.test_fraction.",
            )
