"""From files to splits: read, clean, remove leaks, split, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shared.errors import DataNotFoundError, EmptyDataError
from shared.labels import LabelSet
from training.config.data import DataConfig, SourceConfig
from training.data.clean import remove_leaks
from training.data.corpus import Corpus, Splits
from training.data.label_choice import choose_labels, named_labels
from training.data.report import DataReport, SourceInfo
from training.data.sources import read_source
from training.data.sources.base import DEV, TEST, TRAIN, WHOLE, RawCorpus
from training.data.split import limit_train, split_source, take_fold


def load_data(config: DataConfig) -> Splits:
    """Read the corpora, clean them and split them; nothing is printed, `report` tells what was done.

    Raises:
        ConfigError: for values that are not allowed together.
        DataNotFoundError: when a corpus, or its train split, is not where it was looked for.
        DataFormatError: when a file or its labels are not in the format expected.
        EmptyDataError: when a split has no usable row.
    """
    config.check_fractions()
    named = named_labels(config)
    sources = _sources(config, named)
    corpora = [read_source(source) for source in sources]
    labels = choose_labels(named, corpora)

    parts = [
        part for raw, source in zip(corpora, sources, strict=True) for part in split_source(raw, source, config, labels)
    ]
    parts = limit_train(_without_leaks(parts, config), config.max_train_rows, config.seed)

    train, dev = (_require(parts, name, corpora) for name in (TRAIN, DEV))
    test = _join(parts, TEST)
    report = _report(corpora, parts, labels, config, {TRAIN: train, DEV: dev, TEST: test})
    return Splits(train, dev, test, labels, report)


def load_eval_split(config: DataConfig, split: str, labels: LabelSet) -> Corpus:
    """One split of the corpora, in the columns of `labels` (those of a bundle).

    Args:
        config: which corpora; the same seed and fractions as in training give the same own splits.
        split: train, dev or test; or all, for every row of a corpus without official splits.
        labels: the label set to evaluate; labels a corpus does not annotate are unknown in its rows.

    Raises:
        DataNotFoundError: when no corpus has that split; names the splits there are.
        DataFormatError: when a corpus and the label set share no label.
        EmptyDataError: when the split has no usable row.
    """
    config.check_fractions()
    sources = _sources(config, named_labels(config))
    corpora = [_with_names(read_source(source), labels) for source in sources]
    parts: list[Corpus] = []
    for raw, source in zip(corpora, sources, strict=True):
        whole = split == WHOLE and WHOLE in raw.splits
        parts += split_source(raw, source, config, labels, undivided=whole)
    return _require(remove_leaks(parts) if split == WHOLE else _without_leaks(parts, config), split, corpora)


def _without_leaks(parts: Sequence[Corpus], config: DataConfig) -> list[Corpus]:
    """The parts, or those of one fold, without training texts that stand in a held-out split."""
    config.check_folds()
    clean = remove_leaks(parts)
    return clean if config.folds is None else remove_leaks(take_fold(clean, config.folds, config.fold, config.seed))


def _sources(config: DataConfig, named: LabelSet | None) -> tuple[SourceConfig, ...]:
    """The sources; a lone table takes the named labels as its own."""
    sources = config.resolved_sources()
    if config.sources or named is None:
        return sources
    return (replace(sources[0], labels=list(named.names)),)


def _with_names(raw: RawCorpus, labels: LabelSet) -> RawCorpus:
    """A table of bare label ids takes the names of the bundle, in order."""
    if not raw.numbered or set(raw.labels) <= set(labels.names):
        return raw
    if max(int(name) for name in raw.labels) >= len(labels):
        return raw
    return replace(raw, labels=tuple(labels.names[int(name)] for name in raw.labels))


def _require(parts: Sequence[Corpus], split: str, corpora: Sequence[RawCorpus]) -> Corpus:
    corpus = _join(parts, split)
    if corpus is None:
        there = ", ".join(dict.fromkeys(part.split for part in parts)) or "none"
        reasons = [raw.missing[split] for raw in corpora if split in raw.missing]
        origins = "; ".join(f"{raw.kind} {raw.origin}" for raw in corpora)
        raise DataNotFoundError(
            f"there is no {split} split in {origins}{': ' + '; '.join(reasons) if reasons else ''}.",
            hint=f"The splits there are: {there}.",
        )
    if not len(corpus):
        raise EmptyDataError(f"the {split} split has no usable row: all of its texts are empty or were dropped.")
    return corpus


def _join(parts: Sequence[Corpus], split: str) -> Corpus | None:
    chosen = [part for part in parts if part.split == split]
    if not chosen:
        return None
    several = len({part.counted_rows.source for part in parts}) > 1
    return Corpus(
        texts=[text for part in chosen for text in part.texts],
        targets=np.concatenate([part.targets for part in chosen]),
        known=np.concatenate([part.known for part in chosen]),
        ids=[
            f"{kind}:{name}" if several else name
            for part in chosen for kind, name in zip(part.source, part.ids, strict=True)
        ],
        source=[kind for part in chosen for kind in part.source],
        weights=np.concatenate([part.weights for part in chosen]),
    )  # fmt: skip


def _report(
    corpora: Sequence[RawCorpus], parts: Sequence[Corpus], labels: LabelSet, config: DataConfig,
    splits: dict[str, Corpus | None],
) -> DataReport:  # fmt: skip
    notes = [reason for raw in corpora for reason in raw.missing.values()]
    keys = {name: {key for part in parts if part.split == name for key in part.keys} for name in (DEV, TEST)}
    both = len(keys[DEV] & keys[TEST])
    if both:
        notes.append(f"{both:,} texts stand in dev and in test; both are kept as they are")
    for raw in corpora:
        dropped = [name for name in raw.labels if name.casefold() not in {label.casefold() for label in labels.names}]
        if dropped:
            notes.append(f"{raw.kind}: dropped, as the label set has no such label: {', '.join(dropped)}")
    support = {name: corpus.support(labels) for name, corpus in splits.items() if corpus is not None}
    rare = [f"{name} {count}" for name, count in support[TRAIN].items() if count < config.min_label_support]
    if rare:
        notes.append(f"labels with fewer than {config.min_label_support} training rows: {', '.join(rare)}")
    infos = tuple(SourceInfo(r.kind, r.origin, r.licence, (*r.notes, *_refusals(r))) for r in corpora)
    return DataReport(infos, tuple(part.counted_rows for part in parts), tuple(notes), support)


def _refusals(raw: RawCorpus) -> list[str]:
    return [f"{count:,} {reason} left out" for reason, count in raw.refused.items() if count]
