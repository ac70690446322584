"""What is dropped before training, and how it is counted: empty texts, duplicates, and texts of held-out splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data import arrays
from training.data.column import Column
from training.data.corpus import Corpus
from training.data.keys import among, first_rows, near_hash, repeated_groups, rows_outside
from training.data.sources.base import DEV, TEST, TRAIN


def filled_rows(keys: Sequence[str]) -> NDArray[np.intp]:
    """Rows whose text is neither null nor empty."""
    return np.flatnonzero(np.fromiter(map(bool, keys), dtype=np.bool_, count=len(keys)))


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
    first_of = first_rows(keys)
    first = np.flatnonzero(first_of == np.arange(len(keys)))
    if known is None:
        known = np.broadcast_to(np.True_, targets.shape)
    merged, seen = arrays.copied_rows(targets, first), arrays.copied_rows(known, first)
    conflicts, ties = 0, []
    for rows in repeated_groups(first_of):
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
    kept = np.delete(np.arange(len(first)), ties)
    return Merged(
        first[kept], arrays.rows_of(merged, kept), arrays.rows_of(seen, kept), len(keys) - len(first), conflicts,
        len(ties),
    )  # fmt: skip


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


def near_duplicates(train: Corpus, held_out: Corpus) -> int:
    """Held-out texts that differ from one of train in case, punctuation, addresses, user names or nothing."""
    theirs = held_out.near_hashes
    return int((among(theirs, np.sort(train.near_hashes)) & (theirs != near_hash(""))).sum())


def without_repeats(rows: Corpus, *, single_label: bool = False, graded: bool = False) -> Corpus:
    """Without empty texts; without duplicates too, unless the rows are those of an official held-out split."""
    total = len(rows)
    rows = rows.take(filled_rows(rows.keys))
    empty = total - len(rows)
    if rows.split in (DEV, TEST):
        return rows.counted(empty=empty, duplicates=int((first_rows(rows.keys) != np.arange(len(rows))).sum()))
    merged = merge_duplicates(rows.keys, rows.targets, rows.known, single_label=single_label, graded=graded)
    rows = rows.take(merged.rows, targets=merged.targets, known=merged.known)
    return rows.counted(
        empty=empty, duplicates=merged.dropped, texts=len(rows) + merged.ties, conflicts=merged.conflicts,
        ties=merged.ties,
    )  # fmt: skip


def remove_leaks(parts: Sequence[Corpus]) -> list[Corpus]:
    """Take out of every training part the texts that are also in a held-out split, or in an earlier training part."""
    held = {name: Column.joined([part.keys for part in parts if part.split == name]) for name in (TEST, DEV)}
    seen: list[Column[str]] = []
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
        rows = rows_outside(part.keys, Column.joined(seen))
        repeated = part.counted_rows.duplicates + len(part) - len(rows)
        part = part.take(rows).counted(leaked=leaked, duplicates=repeated)  # noqa: PLW2901
        seen.append(part.keys)
        cleaned.append(part)
    return cleaned
