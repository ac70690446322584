"""What is dropped before training, and how it is counted: empty texts, duplicates, and texts of held-out splits."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.corpus import Corpus
from training.data.sources.base import DEV, TEST, TRAIN


def filled_rows(keys: Sequence[str]) -> NDArray[np.intp]:
    """Rows whose text is neither null nor empty."""
    return np.flatnonzero([bool(key) for key in keys])


@dataclass(frozen=True)
class Merged:
    """One row for each text.

    Attributes:
        rows: the first row of each text, in order, shape (M,).
        targets: their targets after the vote of all copies, shape (M, L).
        known: entries that any copy annotates, shape (M, L).
        dropped: rows that were a further copy.
        conflicts: texts whose copies had different labels.
        ties: texts of `single_label` rows that no label wins; they are left out of `rows`.
    """

    rows: NDArray[np.intp]
    targets: NDArray[np.float32]
    known: NDArray[np.bool_]
    dropped: int
    conflicts: int
    ties: int = 0


def merge_duplicates(
    keys: Sequence[str], targets: NDArray[np.float32], known: NDArray[np.bool_] | None = None, *,
    single_label: bool = False, graded: bool = False,
) -> Merged:  # fmt: skip
    """Keep the first row of every text and let its copies vote on the labels.

    Copies with equal labels keep them. Where they differ, a label stays when at least half of the copies that annotate
    it have it, so two copies that disagree give both labels; where no label reaches half, those with the most votes
    stay. With one label a text the label of most copies stays, and a text without a winner is left out. Soft targets
    (other than 0 and 1) are averaged.

    Args:
        keys: normalised texts, N of them.
        targets: shape (N, L).
        known: annotated entries, shape (N, L); all when None.
        single_label: whether a text has exactly one label.
        graded: whether targets are intensities, which are averaged.
    """
    repeats = repeated_groups(keys)
    later = [row for rows in repeats for row in rows[1:]]
    first = np.delete(np.arange(len(keys)), later)
    if known is None:
        known = np.ones(targets.shape, dtype=np.bool_)
    merged, seen = targets[first], known[first]
    conflicts, ties = 0, []
    for rows in repeats:
        position = int(np.searchsorted(first, rows[0]))
        copies, asked = targets[rows], known[rows]
        if (copies == copies[0]).all() and (asked == asked[0]).all():
            continue
        seen[position] = asked.any(axis=0)
        merged[position] = _vote(copies, asked, graded=graded)
        if not _differ(copies, asked):
            continue
        conflicts += 1
        if single_label and np.isin(copies, (0.0, 1.0)).all():
            merged[position] = _winner(copies, asked)
            if not merged[position].any():
                ties.append(position)
    kept = np.setdiff1d(np.arange(len(first)), ties)
    return Merged(first[kept], merged[kept], seen[kept], len(keys) - len(first), conflicts, len(ties))


def _differ(copies: NDArray[np.float32], asked: NDArray[np.bool_]) -> bool:
    """Whether two copies that annotate the same label say different things of it."""
    high, low = copies.max(axis=0, initial=0.0, where=asked), copies.min(axis=0, initial=1.0, where=asked)
    return bool(((high != low) & asked.any(axis=0)).any())


def _vote(copies: NDArray[np.float32], asked: NDArray[np.bool_], *, graded: bool = False) -> NDArray[np.float32]:
    answers = asked.sum(axis=0)
    total = (copies * asked).sum(axis=0, dtype=np.float32)
    share: NDArray[np.float32] = np.divide(total, answers, out=np.zeros_like(total), where=answers > 0)
    if graded or not np.isin(copies, (0.0, 1.0)).all():
        return share
    winners = (share > 0) & (share >= min(0.5, float(share.max())))
    return np.asarray(winners, dtype=np.float32)


def _winner(copies: NDArray[np.float32], asked: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The one label with the most votes; none where several have as many."""
    votes = (copies * asked).sum(axis=0)
    best = votes == votes.max()
    return np.asarray(best if best.sum() == 1 else np.zeros_like(best), dtype=np.float32)


_SEEN_ALIKE = re.compile(r"https?://\S+|www\.\S+|@\w+|[\u200b-\u200f\u2060\ufeff]|[^\w\s]|_")
"""What may differ between two copies of a text: addresses, names of users, zero-width signs, punctuation."""


def near_duplicates(train: Sequence[str], held_out: Sequence[str]) -> int:
    """Held-out texts that differ from one of train in case, punctuation, addresses, user names or nothing."""
    ours, theirs = _near_hashes(train), _near_hashes(held_out)
    return int((np.isin(theirs, ours) & (theirs != hash(""))).sum())


def _near_hashes(keys: Sequence[str]) -> NDArray[np.int64]:
    """Hashes of texts without case, punctuation, addresses, user names and zero-width signs, shape (N,)."""
    alike = (" ".join(_SEEN_ALIKE.sub(" ", key).casefold().split()) for key in keys)
    return np.fromiter(map(hash, alike), dtype=np.int64, count=len(keys))


def repeated_groups(keys: Sequence[str]) -> list[list[int]]:
    """The rows of every text that stands more than once, in order; hashes find them, the texts themselves decide."""
    hashes = np.fromiter(map(hash, keys), dtype=np.int64, count=len(keys))
    _, place, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    rows_of: dict[str, list[int]] = {}
    for row in np.flatnonzero(counts[place] > 1).tolist():
        rows_of.setdefault(keys[row], []).append(row)
    return [rows for rows in rows_of.values() if len(rows) > 1]


def repeated_rows(keys: Sequence[str]) -> int:
    """Rows whose text stood before."""
    return sum(len(rows) - 1 for rows in repeated_groups(keys))


def rows_outside(keys: Sequence[str], held_out: Collection[str]) -> NDArray[np.intp]:
    """Rows whose text is not among the held-out ones."""
    return np.flatnonzero([key not in held_out for key in keys])


def without_repeats(rows: Corpus, *, single_label: bool = False, graded: bool = False) -> Corpus:
    """Without empty texts; without duplicates too, unless the rows are those of an official held-out split."""
    total = len(rows)
    rows = rows.take(filled_rows(rows.keys))
    empty = total - len(rows)
    if rows.split in (DEV, TEST):
        return rows.counted(empty=empty, duplicates=repeated_rows(rows.keys))
    merged = merge_duplicates(rows.keys, rows.targets, rows.known, single_label=single_label, graded=graded)
    rows = rows.take(merged.rows, targets=merged.targets, known=merged.known)
    return rows.counted(empty=empty, duplicates=merged.dropped, conflicts=merged.conflicts, ties=merged.ties)


def remove_leaks(parts: Sequence[Corpus]) -> list[Corpus]:
    """Take out of every training part the texts that are also in a held-out split, or in an earlier training part."""
    held = {name: {key for part in parts if part.split == name for key in part.keys} for name in (TEST, DEV)}
    seen: set[str] = set()
    several = sum(part.split == TRAIN for part in parts) > 1
    cleaned = []
    for part in parts:
        if part.split != TRAIN:
            cleaned.append(part)
            continue
        leaked = {}
        for name, keys in held.items():
            rows = rows_outside(part.keys, keys)
            leaked[name] = len(part) - len(rows)
            part = part.take(rows)  # noqa: PLW2901
        rows = rows_outside(part.keys, seen)
        repeated = part.counted_rows.duplicates + len(part) - len(rows)
        part = part.take(rows).counted(leaked=leaked, duplicates=repeated)  # noqa: PLW2901
        if several:
            seen.update(part.keys)
        cleaned.append(part)
    return cleaned
