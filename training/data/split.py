"""Official splits taken over, others cut: stratified, by time, or into folds.

Iterative stratification keeps the share of every label (Sechidis et al., ECML 2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from shared.context import ContextFormat
from shared.errors import DataFormatError, EmptyDataError
from shared.labels import LabelSet
from training.config.data import DataConfig, SourceConfig
from training.data import arrays
from training.data.clean import without_repeats
from training.data.column import Column, numbered
from training.data.context import texts_in_context
from training.data.corpus import Corpus
from training.data.keys import first_rows
from training.data.label_choice import align, annotated_labels, columns_in
from training.data.languages import languages_of, with_language_columns
from training.data.report import SplitCounts
from training.data.sources.base import DEV, TEST, TRAIN, WHOLE, RawCorpus, RawSplit

Rows = NDArray[np.intp]


def split_source(
    raw: RawCorpus, source: SourceConfig, config: DataConfig, labels: LabelSet, *, undivided: bool = False,
    single_label: bool = False, context: ContextFormat | None = None,
) -> list[Corpus]:  # fmt: skip
    """The clean splits of one source: its official ones, and own ones in place of those it lacks (unless `undivided`).

    No group is in two own splits, and with a `context`, where texts carry the turns before them, no dialogue.

    Raises:
        DataFormatError: when groups that are asked for cut dialogues, or a cut by time would cut groups or is asked for
            beside official splits.
        EmptyDataError: when there are too few rows for own splits.
    """
    columns = columns_in(raw, labels)
    annotated = annotated_labels(source.annotated, labels)
    divided = not undivided and (WHOLE in raw.splits or DEV not in raw.splits or config.folds is not None)
    parts = []
    for name, split in raw.splits.items():
        if context is not None and divided:
            _require_whole_dialogues(split, raw.origin)
        targets, known = align(split, columns, len(labels), annotated)
        rows = Corpus(
            texts=texts_in_context(split, context), targets=targets, known=known,
            ids=Column.of(split.ids), source=Column.repeated(raw.kind, len(split)),
            weights=np.full(len(split), source.weight, dtype=np.float32), created_s=split.created_s,
            groups=_column(split.groups or (split.dialogues if context else None)), languages=languages_of(split, raw),
            counts=SplitCounts(raw.kind, name, read=len(split)),
        )  # fmt: skip
        parts.append(without_repeats(rows, single_label=single_label, graded=raw.scale is not None))
    if undivided:
        return parts
    if source.temporal_split and WHOLE not in raw.splits:
        raise DataFormatError(
            f"data.temporal_split is true, and {raw.origin} has official splits ({', '.join(raw.splits)}), which are "
            "kept as they are.",
            hint="Leave temporal_split out, or let a run cut all rows of a table with --data.split_column none.",
        )
    if [part.split for part in parts] == [WHOLE]:
        return _divide(parts[0], (TRAIN, DEV, TEST), config, raw.origin, by_time=source.temporal_split)
    by_name = {part.split: part for part in parts}
    if TRAIN in by_name and DEV not in by_name:
        by_name |= {part.split: part for part in _divide(by_name[TRAIN], (TRAIN, DEV), config, raw.origin)}
    return list(by_name.values())


def _column(values: Sequence[str] | None) -> Column[str] | None:
    return None if values is None else Column.of(values)


def _require_whole_dialogues(split: RawSplit, origin: str) -> None:
    """Refuse groups that would be kept together at the cost of dialogues.

    Raises:
        DataFormatError: when the rows of a dialogue are in several groups.
    """
    group_of: dict[str, str] = {}
    for dialogue, group in zip(split.dialogues or (), split.groups or (), strict=False):
        if dialogue and group_of.setdefault(dialogue, group) != group:
            raise DataFormatError(
                f"data.group_column has rows of one dialogue of {origin} in several groups; rows are cut by group, and "
                "turns are context of each other.",
                hint="Leave data.group_column out: dialogues are kept whole without it.",
            )


def _divide(
    rows: Corpus, names: Sequence[str], config: DataConfig, origin: str, *, by_time: bool = False
) -> list[Corpus]:
    """Cut rows whose texts are distinct into train, dev and (where its fraction is not 0) test, groups whole."""
    share = {DEV: config.dev_fraction, TEST: config.test_fraction}
    held = {name: share[name] for name in names if share.get(name)}
    fractions = [1 - sum(held.values()), *held.values()]
    wanted = [TRAIN, *held]
    if by_time and rows.groups is not None:
        raise DataFormatError(
            f"data.temporal_split would cut the groups of {origin} (data.group_column, or dialogues, whose turns are "
            "context of each other).",
            hint="Leave one of the two out, or name official splits with data.split_column.",
        )
    if by_time and rows.created_s is None:
        raise DataFormatError(
            f"data.temporal_split is true, and {origin} has no time for its rows.",
            hint="Name the column of dates of a table with data.date_column, or leave temporal_split out.",
        )
    if by_time and rows.created_s is not None:
        pieces = temporal_split(rows.created_s, fractions)
    else:
        pieces = stratified_groups(with_language_columns(rows), rows.groups, fractions, config.seed)
    require_rows(pieces, wanted, origin, rows.groups)
    parts = [
        rows.take(piece, counts=_counts(rows, name, piece)).counted()
        for name, piece in zip(wanted, pieces, strict=True)
    ]
    lost = rows.counted_rows
    first = parts[0].counted(
        read=len(parts[0]) + lost.empty + lost.duplicates + lost.ties,
        empty=lost.empty, duplicates=lost.duplicates, texts=lost.texts, conflicts=lost.conflicts, ties=lost.ties,
    )  # fmt: skip
    return [first, *parts[1:]]


def _counts(rows: Corpus, split: str, piece: NDArray[np.intp]) -> SplitCounts:
    return SplitCounts(rows.counted_rows.source, split, read=len(piece))


def stratified_split(targets: NDArray[np.floating], fractions: Sequence[float], seed: int) -> list[Rows]:
    """Rows of each part, disjoint, sorted, and together all rows.

    Args:
        targets: shape (N, L); a soft target counts as a label from 0.5 on.
        fractions: share of rows of each part; they sum to 1.
        seed: the same seed gives the same parts.
    """
    from iterstrat.ml_stratifiers import IterativeStratification  # noqa: PLC0415  (scikit-learn: 2 s of CPU time)

    random = np.random.RandomState(seed)
    order = random.permutation(len(targets))
    hard = arrays.zeros(targets.shape, np.bool_)
    for piece in arrays.pieces(len(order)):
        hard[piece] = targets[order[piece]] >= 0.5
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


def require_rows(parts: Sequence[Rows], names: Sequence[str], origin: str, groups: Sequence[str] | None = None) -> None:
    """Refuse a split with an empty part.

    Raises:
        EmptyDataError: names the part and the number of rows there were.
    """
    total = sum(len(part) for part in parts)
    in_groups = "" if groups is None else " in groups that are kept whole"
    for name, part in zip(names, parts, strict=True):
        if not len(part):
            raise EmptyDataError(
                f"{origin} has {total} usable rows{in_groups}: too few to hold out a {name} split.",
                hint="Add rows, give official splits, or change data.dev_fraction and data.test_fraction.",
            )


def limit_train(parts: Sequence[Corpus], size: int | None, seed: int) -> list[Corpus]:
    """Keep a stratified subset of `size` training rows over all sources."""
    train = [part for part in parts if part.split == TRAIN]
    total = sum(map(len, train))
    if size is None or size >= total:
        return list(parts)
    kept = stratified_subset(arrays.joined([part.targets for part in train]), size, seed)
    limited, start = [], 0
    for part in parts:
        if part.split != TRAIN:
            limited.append(part)
            continue
        rows = kept[(kept >= start) & (kept < start + len(part))] - start
        start += len(part)
        limited.append(part.take(rows).counted(left_out=len(part) - len(rows)))
    return limited


def take_fold(parts: Sequence[Corpus], folds: int, fold: int, seed: int) -> list[Corpus]:
    """Train and dev parts become a dev part of the rows in `fold` and a train part of all others; test stays.

    A text that stood in dev and in test too would leak now: `remove_leaks` has to follow.

    Folds are disjoint by text, and by group where the rows have groups; they hold every row once, and keep the share of
    every label (iterative stratification).

    Args:
        parts: of all sources, leaks already removed.
        folds: number of folds.
        fold: which of them is dev, from 1 on.
        seed: the same seed gives the same folds.

    Raises:
        EmptyDataError: when there are too few rows for that many folds.
    """
    pool = _distinct([part for part in parts if part.split in (TRAIN, DEV)])
    targets = arrays.joined([part.targets for part in pool])
    pieces = stratified_groups(targets, _groups_of(pool), [1 / folds] * folds, seed)
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
                cut.append(part.take(rows, counts=_counts(part, name, rows)).counted())
    return [*cut, *(part for part in parts if part.split == TEST)]


def _groups_of(pool: Sequence[Corpus]) -> Column[str] | None:
    """The group of every row, "" for one of a source without any; None where no source names any."""
    if all(part.groups is None for part in pool):
        return None
    return Column.joined([part.groups or Column.repeated("", len(part)) for part in pool])


def stratified_groups(
    targets: NDArray[np.floating], groups: Sequence[str] | None, fractions: Sequence[float], seed: int
) -> list[Rows]:  # fmt: skip
    """Rows of each part, with all rows of a group in one of them.

    Groups are stratified by the labels that occur in them; parts have their share of the groups, and of the rows where
    groups are of similar size.

    Args:
        targets: shape (N, L).
        groups: of each row; every row is one of its own when None, and one of "" is.
        fractions: share of each part; they sum to 1.
        seed: the same seed gives the same parts.
    """
    if groups is None:
        return stratified_split(targets, fractions, seed)
    alone = count()
    names, group_of = numbered(group or f"\0row {next(alone)}" for group in groups)
    held = arrays.zeros((len(names), targets.shape[1]), np.float32)
    for piece in arrays.pieces(len(targets)):
        np.maximum.at(held, group_of[piece], targets[piece].astype(np.float32))
    pieces = stratified_split(held, fractions, seed)
    return [np.flatnonzero(np.isin(group_of, piece)) for piece in pieces]


def _distinct(parts: Sequence[Corpus]) -> list[Corpus]:
    """Each text once over all parts: an official dev split may repeat some, and no text may be in two folds."""
    first = first_rows(Column.joined([part.keys for part in parts]))
    kept = np.flatnonzero(first == np.arange(len(first)))
    distinct, start = [], 0
    for part in parts:
        rows = kept[(kept >= start) & (kept < start + len(part))] - start
        start += len(part)
        distinct.append(part.take(rows))
    return distinct
