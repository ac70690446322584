"""Rows on their way from a source to a split: cleaning, own splits, leak removal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.labels import LabelSet
from training.config.data import DataConfig, SourceConfig
from training.data.clean import filled_rows, merge_duplicates, repeated_rows, rows_outside, text_keys
from training.data.label_choice import align, columns_in
from training.data.report import SplitCounts
from training.data.sources.base import DEV, TEST, TRAIN, WHOLE, RawCorpus
from training.data.splits import require_rows, stratified_split, stratified_subset, temporal_split


@dataclass(frozen=True)
class Part:
    """Rows of one split of one source.

    Attributes:
        source: kind of the source.
        split: train, dev, test or all.
        texts: N texts.
        keys: their normalised forms.
        targets: shape (N, L).
        known: labels the source annotates, shape (L,).
        ids: N row names.
        created_s: seconds since 1970, shape (N,), or None.
        weight: how often a row is seen in an epoch.
        counts: what was dropped so far.
    """

    source: str
    split: str
    texts: list[str]
    keys: list[str]
    targets: NDArray[np.float32]
    known: NDArray[np.bool_]
    ids: list[str]
    created_s: NDArray[np.float64] | None
    weight: float
    counts: SplitCounts

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: NDArray[np.intp], **changes: object) -> Part:
        """Some of the rows, with other fields changed on the way."""
        chosen = {
            "texts": [self.texts[row] for row in rows],
            "keys": [self.keys[row] for row in rows],
            "targets": self.targets[rows],
            "ids": [self.ids[row] for row in rows],
            "created_s": None if self.created_s is None else self.created_s[rows],
        }
        return replace(self, **{**chosen, **changes})  # type: ignore[arg-type]

    def counted(self, **counts: object) -> Part:
        """The same rows with some counts set and `kept` brought up to date."""
        return replace(self, counts=replace(self.counts, kept=len(self), **counts))  # type: ignore[arg-type]


def make_parts(
    raw: RawCorpus, source: SourceConfig, config: DataConfig, labels: LabelSet, *, undivided: bool = False
) -> list[Part]:
    """The clean splits of one corpus: its official ones, or own ones where it has none (unless `undivided`)."""
    columns = columns_in(raw, labels)
    parts = []
    for name, split in raw.splits.items():
        targets, known = align(split.targets, columns, len(labels))
        part = Part(
            source=raw.kind, split=name, texts=[text or "" for text in split.texts], keys=text_keys(split.texts),
            targets=targets, known=known, ids=split.ids, created_s=split.created_s, weight=source.weight,
            counts=SplitCounts(raw.kind, name, read=len(split)),
        )  # fmt: skip
        parts.append(_clean(part))
    if [part.split for part in parts] == [WHOLE]:
        if undivided:
            return parts
        return _divide(parts[0], (TRAIN, DEV, TEST), config, raw.origin, by_time=source.temporal_split)
    by_name = {part.split: part for part in parts}
    if TRAIN in by_name and DEV not in by_name:
        by_name |= {p.split: p for p in _divide(by_name[TRAIN], (TRAIN, DEV), config, raw.origin)}
    return list(by_name.values())


def _clean(part: Part) -> Part:
    """Without empty texts; without duplicates too, unless the split is an official held-out one."""
    total = len(part)
    part = part.take(filled_rows(part.keys))
    empty = total - len(part)
    if part.split in (DEV, TEST):
        return part.counted(empty=empty, duplicates=repeated_rows(part.keys))
    merged = merge_duplicates(part.keys, part.targets)
    part = part.take(merged.rows, targets=merged.targets)
    return part.counted(empty=empty, duplicates=merged.dropped, conflicts=merged.conflicts)


def _divide(part: Part, names: Sequence[str], config: DataConfig, origin: str, *, by_time: bool = False) -> list[Part]:
    """Cut a part whose texts are distinct into train, dev and (where its fraction is not 0) test."""
    share = {DEV: config.dev_fraction, TEST: config.test_fraction}
    held = {name: share[name] for name in names if share.get(name)}
    fractions = [1 - sum(held.values()), *held.values()]
    wanted = [TRAIN, *held]
    if by_time and part.created_s is not None:
        pieces = temporal_split(part.created_s, fractions)
    else:
        pieces = stratified_split(part.targets, fractions, config.seed)
    require_rows(pieces, wanted, origin)
    parts = [
        part.take(rows, split=name, counts=SplitCounts(part.source, name, read=len(rows))).counted()
        for name, rows in zip(wanted, pieces, strict=True)
    ]
    lost = part.counts
    first = parts[0].counted(
        read=len(parts[0]) + lost.empty + lost.duplicates,
        empty=lost.empty, duplicates=lost.duplicates, conflicts=lost.conflicts,
    )  # fmt: skip
    return [first, *parts[1:]]


def remove_leaks(parts: Sequence[Part]) -> list[Part]:
    """Take out of every training part the texts that stand in a held-out split, or in an earlier training part."""
    held = {name: {key for part in parts if part.split == name for key in part.keys} for name in (TEST, DEV)}
    seen: set[str] = set()
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
        repeated = part.counts.duplicates + len(part) - len(rows)
        part = part.take(rows).counted(leaked=leaked, duplicates=repeated)  # noqa: PLW2901
        seen.update(part.keys)
        cleaned.append(part)
    return cleaned


def limit_train(parts: Sequence[Part], size: int | None, seed: int) -> list[Part]:
    """Keep a stratified subset of `size` training rows over all sources."""
    train = [part for part in parts if part.split == TRAIN]
    total = sum(map(len, train))
    if size is None or size >= total:
        return list(parts)
    kept = stratified_subset(np.concatenate([part.targets for part in train]), size, seed)
    limited, start = [], 0
    for part in parts:
        if part.split != TRAIN:
            limited.append(part)
            continue
        rows = kept[(kept >= start) & (kept < start + len(part))] - start
        start += len(part)
        limited.append(part.take(rows).counted(left_out=len(part) - len(rows)))
    return limited
