"""From files to splits: read, clean, remove leaks, split, fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import DataNotFoundError, EmptyDataError
from shared.labels import LabelSet
from training.config.data import DataConfig, SourceConfig
from training.data.folds import take_fold
from training.data.label_choice import choose_labels, named_labels
from training.data.parts import Part, limit_train, make_parts, remove_leaks
from training.data.report import DataReport, SourceInfo
from training.data.sources import read_source
from training.data.sources.base import DEV, TEST, TRAIN, WHOLE, RawCorpus


@dataclass(frozen=True)
class Corpus:
    """One split: N texts with L labels.

    Attributes:
        texts: N texts as they stand in the corpus; the tokenizer normalises them.
        targets: 0/1, or shares in 0..1 for soft labels, shape (N, L).
        known: entries that are annotated; the others are masked in the loss, shape (N, L).
        ids: N row names.
        source: N kinds of source.
        weights: how often a row is seen in an epoch of training, shape (N,).
    """

    texts: list[str]
    targets: NDArray[np.float32]
    known: NDArray[np.bool_]
    ids: list[str]
    source: list[str]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over texts, names, targets and masks in order."""
        digest = hashlib.sha256()
        for column in (self.texts, self.ids):
            for value in column:
                content = value.encode("utf-8", "surrogatepass")
                digest.update(len(content).to_bytes(8, "little") + content)
        for array in (self.targets, self.known, self.weights):
            digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @cached_property
    def hard_targets(self) -> NDArray[np.bool_]:
        """Labels as yes or no, shape (N, L): a soft target counts from 0.5 on, an unknown one never."""
        return (self.targets >= 0.5) & self.known

    def support(self, labels: LabelSet) -> dict[str, int]:
        """Rows that carry each label (a soft target counts from 0.5 on)."""
        counts = self.hard_targets.sum(axis=0)
        return {name: int(count) for name, count in zip(labels.names, counts, strict=True)}

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> Corpus:
        """Some of the rows, in the order given; a row may be taken twice."""
        chosen = np.asarray(rows, dtype=np.intp)
        return Corpus(
            texts=[self.texts[row] for row in chosen],
            targets=self.targets[chosen],
            known=self.known[chosen],
            ids=[self.ids[row] for row in chosen],
            source=[self.source[row] for row in chosen],
            weights=self.weights[chosen],
        )


@dataclass(frozen=True)
class Splits:
    """What a model is trained, tuned and tested on; `test` is None where the corpus has none."""

    train: Corpus
    dev: Corpus
    test: Corpus | None
    labels: LabelSet
    report: DataReport

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the labels and all splits."""
        parts = [split.fingerprint if split else "-" for split in (self.train, self.dev, self.test)]
        return hashlib.sha256("\n".join([*self.labels.names, *parts]).encode()).hexdigest()

    @property
    def sources(self) -> tuple[SourceInfo, ...]:
        """The corpora, where they were read and under which licence."""
        return self.report.sources

    def described(self) -> dict[str, Any]:
        """Fingerprint, sizes and report as plain JSON values, for a run's record."""
        sizes = {name: len(split) for name, split in self._named() if split is not None}
        return {"fingerprint": self.fingerprint, "rows": sizes, **self.report.to_json()}

    def _named(self) -> tuple[tuple[str, Corpus | None], ...]:
        return ((TRAIN, self.train), (DEV, self.dev), (TEST, self.test))


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
        part for raw, source in zip(corpora, sources, strict=True) for part in make_parts(raw, source, config, labels)
    ]
    parts = limit_train(_without_leaks(parts, config), config.max_train_rows, config.seed)

    train, dev = (_require(parts, name, corpora, labels) for name in (TRAIN, DEV))
    test = _join(parts, TEST, labels)
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
    parts: list[Part] = []
    for raw, source in zip(corpora, sources, strict=True):
        whole = split == WHOLE and WHOLE in raw.splits
        parts += make_parts(raw, source, config, labels, undivided=whole)
    return _require(remove_leaks(parts) if split == WHOLE else _without_leaks(parts, config), split, corpora, labels)


def _without_leaks(parts: Sequence[Part], config: DataConfig) -> list[Part]:
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


def _require(parts: Sequence[Part], split: str, corpora: Sequence[RawCorpus], labels: LabelSet) -> Corpus:
    corpus = _join(parts, split, labels)
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


def _join(parts: Sequence[Part], split: str, labels: LabelSet) -> Corpus | None:
    chosen = [part for part in parts if part.split == split]
    if not chosen:
        return None
    several = len({part.source for part in parts}) > 1
    return Corpus(
        texts=[text for part in chosen for text in part.texts],
        targets=np.concatenate([part.targets for part in chosen]),
        known=np.concatenate([np.tile(part.known, (len(part), 1)) for part in chosen]).reshape(-1, len(labels)),
        ids=[f"{part.source}:{name}" if several else name for part in chosen for name in part.ids],
        source=[part.source for part in chosen for _ in part.texts],
        weights=np.concatenate([np.full(len(part), part.weight, dtype=np.float32) for part in chosen]),
    )


def _report(
    corpora: Sequence[RawCorpus], parts: Sequence[Part], labels: LabelSet, config: DataConfig,
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
    return DataReport(infos, tuple(part.counts for part in parts), tuple(notes), support)


def _refusals(raw: RawCorpus) -> list[str]:
    return [f"{count:,} {reason} left out" for reason, count in raw.refused.items() if count]


def label_frequencies(corpus: Corpus) -> NDArray[np.float64]:
    """Share of the annotated rows that carry each label, shape (L,)."""
    known = corpus.known.sum(axis=0)
    positive = (corpus.targets * corpus.known).sum(axis=0, dtype=np.float64)
    return np.asarray(np.divide(positive, known, out=np.zeros(len(known)), where=known > 0))
