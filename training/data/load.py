"""From files to splits: read, clean, remove leaks, split, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from shared.context import ContextFormat
from shared.errors import DataFormatError, DataNotFoundError, EmptyDataError
from shared.intensity import Scale
from shared.labels import LabelSet
from training.config.data import DataConfig, SourceConfig
from training.data.clean import near_duplicates, remove_leaks
from training.data.column import Column
from training.data.context import check_bundle_reads, check_context, context_note
from training.data.corpus import Corpus, Splits
from training.data.keys import rows_inside
from training.data.label_choice import choose_labels, named_labels
from training.data.label_mapping import map_labels
from training.data.languages import describe_languages, in_languages, tempered
from training.data.report import DataReport, SourceInfo
from training.data.sources import read_source
from training.data.sources.base import DEV, TEST, TRAIN, WHOLE, RawCorpus
from training.data.split import limit_train, split_source, take_fold


def load_data(config: DataConfig, *, single_label: bool = False) -> Splits:
    """Read the corpora, clean them and split them; nothing is printed, `report` says what was done.

    Args:
        config: which corpora, and how they are read and split.
        single_label: whether a text has exactly one label: copies of a text vote for it, and ties are dropped.

    Raises:
        ConfigError: for values that are not allowed together.
        DataNotFoundError: when a corpus, or its train split, is not where it was looked for.
        DataFormatError: when a file or its labels are not in the format expected.
        EmptyDataError: when a split has no usable row.
    """
    config.check_fractions()
    named = named_labels(config)
    sources = _sources(config, named)
    corpora = [
        map_labels(read_source(source, named.names if named else (), task=config.task), source) for source in sources
    ]
    check_context(corpora, config)
    labels, scale = choose_labels(named, corpora), common_scale(corpora)

    parts = [
        part
        for raw, source in zip(corpora, sources, strict=True)
        for part in split_source(raw, source, config, labels, single_label=single_label, context=config.context)
    ]
    parts = limit_train(_without_leaks(parts, config), config.max_train_rows, config.seed)
    parts = tempered(parts, config.language_alpha)

    train, dev = (_require(parts, name, corpora) for name in (TRAIN, DEV))
    test = _join(parts, TEST)
    report = _report(corpora, parts, labels, config, {TRAIN: train, DEV: dev, TEST: test})
    return Splits(train, dev, test, labels, report, scale)


@dataclass(frozen=True)
class EvaluationRows:
    """Rows to evaluate a bundle on.

    Attributes:
        rows: the rows, in the columns of the bundle.
        split: train, dev or test; all for the whole of a source without official splits.
        read: rows in the files.
        notes: what was decided while reading, and what may be wrong about it.
        cut: whether the split is no official one: of a source without it, a part that is cut here.
        scale: of intensities, whose shares the targets are then.
    """

    rows: Corpus
    split: str
    read: int
    notes: tuple[str, ...]
    cut: bool = False
    scale: Scale | None = None


def common_scale(corpora: Sequence[RawCorpus]) -> Scale | None:
    """The scale of the intensities of all corpora; None where the labels hold or not.

    Raises:
        DataFormatError: when they have several.
    """
    scales = {raw.scale for raw in corpora}
    if len(scales) > 1:
        described = "; ".join(f"{raw.kind} {raw.origin}: {raw.scale}" for raw in corpora)
        raise DataFormatError(
            f"the sources have intensities on several scales ({described}).", hint="Train on sources of one scale."
        )
    return scales.pop() if scales else None


def load_eval_split(
    config: DataConfig, split: str | None, labels: LabelSet, *, ids_are_positions: bool = False,
    context: ContextFormat | None = None, single_label: bool = False,
    cut_before: Callable[[str], Column[str] | None] | None = None,
) -> EvaluationRows:  # fmt: skip
    """One split of the corpora, in the columns of `labels` (those of a bundle).

    Args:
        config: which corpora.
        split: train, dev or test; or all, for every row of a corpus without official splits. When None: test, or all
            where no corpus has official splits.
        labels: the label set to evaluate; labels a corpus does not annotate are unknown in its rows.
        ids_are_positions: whether label ids without names are positions in `labels`.
        context: how the bundle reads previous turns, which are then taken where the corpora have them.
        single_label: whether a text has exactly one label, as in `load_data`.
        cut_before: the keys of a split as a training cut it, or None where none cut these rows; asked where the split
            is no official one, and would be cut anew by the seed and fractions of `config`.

    Raises:
        ConfigError: when previous turns are asked for, and the bundle reads none or the corpora have none.
        DataNotFoundError: when no corpus has that split; names the splits there are. When the training had none of
            these rows in it.
        DataFormatError: when a corpus and the label set share no label, or its ids have no names.
        EmptyDataError: when the split has no usable row.
    """
    config.check_fractions()
    sources = _sources(config, named_labels(config))
    corpora = [
        map_labels(
            _with_names(read_source(source, labels.names, task=config.task), labels, said=ids_are_positions), source
        )
        for source in sources
    ]
    check_bundle_reads(config, context)
    check_context(corpora, config)
    chosen = split or (WHOLE if all(WHOLE in raw.splits for raw in corpora) else TEST)
    cut = any(_is_cut(raw, chosen) for raw in corpora)
    keys = cut_before(chosen) if cut_before and cut else None
    parts: list[Corpus] = []
    for raw, source in zip(corpora, sources, strict=True):
        held = keys if _is_cut(raw, chosen) else None
        whole = held is not None or (chosen == WHOLE and WHOLE in raw.splits)
        pieces = split_source(raw, source, config, labels, undivided=whole, single_label=single_label, context=context)
        parts += pieces if held is None else [_as_before(piece, chosen, held) for piece in pieces]
    if keys is not None and not any(len(part) for part in parts if part.split == chosen):
        raise DataNotFoundError(
            f"no row of {'; '.join(f'{raw.kind} {raw.origin}' for raw in corpora)} is in the {chosen} split of the "
            "training.",
            hint="data.split all takes every row, training rows too.",
        )
    as_they_are = chosen == WHOLE or keys is not None
    parts = in_languages(remove_leaks(parts), config.languages) if as_they_are else _without_leaks(parts, config)
    rows = _require(parts, chosen, corpora)
    counts = [part.counted_rows for part in parts if part.split == chosen]
    notes = [
        note
        for raw, source in zip(corpora, sources, strict=True)
        for note in (*raw.notes, *_refusals(raw), *_doubts(raw, source, labels))
    ]
    if ties := sum(count.ties for count in counts):
        notes.append(f"{ties:,} texts dropped whose copies have different labels, none the most often")
    notes += context_note([rows], context)
    if cut and keys is None:
        notes.append(
            f"{chosen} is the part that a run holds out of a source without official splits; data.split all takes it "
            "whole"
        )
    read = sum(count.read for count in counts)
    return EvaluationRows(rows, chosen, read, tuple(notes), cut, common_scale(corpora))


def _is_cut(raw: RawCorpus, split: str) -> bool:
    """Whether a split is no official one of a source, but one that `split_source` cuts."""
    return split != WHOLE and (WHOLE in raw.splits or (DEV not in raw.splits and split in (TRAIN, DEV)))


def _as_before(part: Corpus, split: str, keys: Column[str]) -> Corpus:
    """The rows of a split out of the part that a training cut it from; an official held-out part as it is."""
    if part.split not in (WHOLE, TRAIN):
        return part
    return part.take(rows_inside(part.keys, keys), counts=replace(part.counted_rows, split=split)).counted()


def _doubts(raw: RawCorpus, source: SourceConfig, labels: LabelSet) -> list[str]:
    """What is not known about the labels that a source annotates."""
    here = {name.casefold() for name in raw.labels}
    absent = [name for name in labels.names if name.casefold() not in here]
    if not (raw.inferred and absent and source.annotated is None):
        return []
    return [
        f"{raw.kind}: it is not known which labels were asked about, so that only those that occur are scored "
        f"({', '.join(raw.labels)}); if all were, say data.annotated all, and a label that is decided where it does "
        f"not occur counts as false ({len(absent)} labels: {', '.join(absent[:6])}{', ...' if len(absent) > 6 else ''})"
    ]


def _without_leaks(parts: Sequence[Corpus], config: DataConfig) -> list[Corpus]:
    """The parts, or those of one fold, without training texts that are also in a held-out split."""
    config.check_folds()
    clean = remove_leaks(parts)
    if config.folds is not None:
        clean = remove_leaks(take_fold(clean, config.folds, config.fold, config.seed))
    return in_languages(clean, config.languages)


def _sources(config: DataConfig, named: LabelSet | None) -> tuple[SourceConfig, ...]:
    """The sources; a lone table takes the named labels as its own."""
    sources = config.resolved_sources()
    if config.sources or named is None:
        return sources
    return (replace(sources[0], labels=list(named.names)),)


def _with_names(raw: RawCorpus, labels: LabelSet, *, said: bool) -> RawCorpus:
    """Bare label ids as the names of the bundle: those it was trained on, or by position where the user says so.

    Raises:
        DataFormatError: when nothing says what the ids mean, or one is no position.
    """
    if not raw.numbered or set(raw.labels) <= set(labels.names):
        return raw
    shown = f"{', '.join(raw.labels[:8])}{', ...' if len(raw.labels) > 8 else ''}"
    if not said:
        raise DataFormatError(
            f"{raw.kind} {raw.origin} holds label ids without names ({shown}), and the bundle's labels are "
            f"{', '.join(labels.names[:6])}{', ...' if len(labels) > 6 else ''}.",
            hint="Name them with data.labels in the order of their ids, or say data.ids_of_bundle true if they are "
            "positions in the bundle's labels.",
        )
    if max(int(name) for name in raw.labels) >= len(labels):
        raise DataFormatError(
            f"{raw.kind} {raw.origin} holds the label ids {shown}, and the bundle has {len(labels)} labels."
        )
    return replace(raw, labels=tuple(labels.names[int(name)] for name in raw.labels), numbered=False)


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
    return Corpus.joined(chosen, name_sources=several)


def _report(
    corpora: Sequence[RawCorpus], parts: Sequence[Corpus], labels: LabelSet, config: DataConfig,
    splits: dict[str, Corpus | None],
) -> DataReport:  # fmt: skip
    notes = [reason for raw in corpora for reason in raw.missing.values()]
    notes += context_note(list(splits.values()), config.context)
    keys = {name: Column.joined([part.keys for part in parts if part.split == name]) for name in (DEV, TEST)}
    both = len(set(keys[DEV].take(rows_inside(keys[DEV], keys[TEST]))))
    if both:
        notes.append(f"{both:,} texts are in dev and in test; both are kept as they are")
    train = splits[TRAIN]
    for name, held_out in splits.items():
        near = near_duplicates(train, held_out) if train and held_out and name != TRAIN else 0
        if near:
            notes.append(f"{near:,} texts of {name} are those of train but for case, punctuation, users, links")
    for raw in corpora:
        notes += _about_groups(raw)
        dropped = [name for name in raw.labels if name.casefold() not in {label.casefold() for label in labels.names}]
        if dropped:
            notes.append(f"{raw.kind}: dropped, as the label set has no such label: {', '.join(dropped)}")
    if train is not None and (said := describe_languages(train)):
        notes.append(said)
    support = {
        name: corpus.support(labels) if config.task == "labels" else corpus.annotated(labels)
        for name, corpus in splits.items() if corpus is not None
    }  # fmt: skip
    for name in (DEV, TEST):
        absent = [label for label, count in support.get(name, {}).items() if not count and support[TRAIN][label]]
        if absent:
            shown = f"{', '.join(absent[:8])}{', ...' if len(absent) > 8 else ''}"
            notes.append(f"{name} has no row of {len(absent):,} labels, which it cannot judge: {shown}")
    rare = [f"{name} {count}" for name, count in support[TRAIN].items() if count < config.min_label_support]
    if rare:
        notes.append(f"labels with fewer than {config.min_label_support} training rows: {', '.join(rare)}")
    infos = tuple(SourceInfo(r.kind, r.origin, r.licence, (*r.notes, *_refusals(r))) for r in corpora)
    return DataReport(infos, tuple(part.counted_rows for part in parts), tuple(notes), support)


def _about_groups(raw: RawCorpus) -> list[str]:
    """That splits cut here keep groups whole, and what official ones hold of the same groups."""
    groups = {name: set(split.groups or ()) - {""} for name, split in raw.splits.items()}
    count = len(set().union(*groups.values()))
    notes = []
    if count and DEV not in groups:
        notes.append(
            f"{raw.kind}: each of {count:,} groups (data.group_column) is in one of the splits that are cut here"
        )
    shared = [
        f"{raw.kind}: {len(both):,} groups (data.group_column) are in train and in {name}; unseen ones may be harder"
        for name in (DEV, TEST) if (both := groups.get(TRAIN, set()) & groups.get(name, set()))
    ]  # fmt: skip
    return notes + shared


def _refusals(raw: RawCorpus) -> list[str]:
    return [f"{count:,} {reason} left out" for reason, count in raw.refused.items() if count]
