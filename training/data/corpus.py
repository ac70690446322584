"""The one class for rows on their way from a source to a split: texts, targets, what is annotated, names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.context import Context, context_of, turns_to_json
from shared.intensity import Scale
from shared.labels import LabelSet
from training.data import arrays
from training.data.column import Column
from training.data.keys import TURN, near_hash, text_key
from training.data.report import DataReport, SourceInfo, SplitCounts
from training.data.sources.base import DEV, TEST, TRAIN

COLUMNS = ("texts", "ids", "source", "groups", "languages")
ARRAYS = ("targets", "known", "weights", "created_s")


@dataclass(frozen=True)
class Corpus:
    """N texts with L labels: the rows of one split of one source, and later of a split over all sources.

    Attributes:
        texts: N texts as they are in the source, with the turns before them where those are asked for
            (`shared.context.Utterance`); the tokenizer normalises them.
        targets: 0/1, or shares in 0..1 for soft labels and of the scale of intensities, shape (N, L); 0 where unknown.
        known: entries that are annotated; the others are masked in the loss and count in no metric, shape (N, L).
        ids: N row names.
        source: N kinds of source.
        weights: how often a row is seen in an epoch of training, shape (N,).
        created_s: time of writing in seconds since 1970, shape (N,), where the source knows it.
        counts: what was dropped on the way, while the rows are those of one source.
        groups: what each row belongs to, such as its writer, where the user names a column of it; "" for none.
        languages: code of the language of each row, "" where a source does not say; None where none does.
    """

    texts: Column[str]
    targets: NDArray[np.float32]
    known: NDArray[np.bool_]
    ids: Column[str]
    source: Column[str]
    weights: NDArray[np.float32]
    created_s: NDArray[np.float64] | None = None
    counts: SplitCounts | None = None
    groups: Column[str] | None = None
    languages: Column[str] | None = None

    def __post_init__(self) -> None:
        for name in COLUMNS:  # any sequence will do
            values = getattr(self, name)
            object.__setattr__(self, name, None if values is None else Column.of(values))

    @classmethod
    def joined(cls, parts: Sequence[Corpus], *, name_sources: bool) -> Corpus:
        """The rows of several parts, not counted.

        Args:
            parts: one or several.
            name_sources: whether names of rows begin with the kind of their source.
        """
        said = any(part.languages is not None for part in parts)
        return cls(
            texts=Column.joined([part.texts for part in parts]),
            targets=arrays.joined([part.targets for part in parts]),
            known=arrays.joined([part.known for part in parts]),
            ids=Column.joined([part.names_with_source if name_sources else part.ids for part in parts]),
            source=Column.joined([part.source for part in parts]),
            weights=arrays.joined([part.weights for part in parts]),
            created_s=_all_or_none(arrays.joined, [part.created_s for part in parts]),
            groups=_all_or_none(Column.joined, [part.groups for part in parts]),
            languages=Column.joined([part.languages or Column.repeated("", len(part)) for part in parts])
            if said else None,
        )._with_keys(Column.joined([part.keys for part in parts]))  # fmt: skip

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def split(self) -> str:
        """train, dev, test or all: the split whose rows are counted."""
        return self.counted_rows.split

    @property
    def counted_rows(self) -> SplitCounts:
        """The counts.

        Raises:
            ValueError: for rows that are not counted, as those over several sources are not.
        """
        if self.counts is None:
            raise ValueError("these rows have no counts: they are not those of one source.")
        return self.counts

    @cached_property
    def keys(self) -> Column[str]:
        """Normalised texts, with the turns before them: two rows hold the same text when their keys are equal."""
        return self.texts.map(text_key)

    @property
    def utterances(self) -> Iterator[str]:
        """Normalised texts without the turns before them."""
        return (key.partition(TURN)[0] for key in self.keys)

    @property
    def names_with_source(self) -> Column[str]:
        """Names of the rows that are unique over several sources."""
        return Column.of(f"{kind}:{name}" for kind, name in zip(self.source, self.ids, strict=True))

    @cached_property
    def near_hashes(self) -> NDArray[np.int64]:
        """Equal where two texts differ in case, punctuation, addresses, user names or nothing, shape (N,)."""
        return np.fromiter(map(near_hash, self.utterances), dtype=np.int64, count=len(self))

    @property
    def contexts(self) -> Iterator[Context]:
        """The turns before each text."""
        return map(context_of, self.texts)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over texts, previous turns where there are any, names, targets and masks in order."""
        digest = hashlib.sha256()
        said = (json.dumps(turns_to_json(context)) for context in self.contexts)
        for column in (self.texts, self.ids, said if any(self.contexts) else ()):
            for value in column:
                content = value.encode("utf-8", "surrogatepass")
                digest.update(len(content).to_bytes(8, "little") + content)
        for array in (self.targets, self.known, self.weights):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @cached_property
    def hard_targets(self) -> NDArray[np.bool_]:
        """Labels as yes or no, shape (N, L): a soft target counts from 0.5 on, an unknown one never."""
        hard = arrays.zeros(self.targets.shape, np.bool_)
        for piece in arrays.pieces(len(self)):
            hard[piece] = (self.targets[piece] >= 0.5) & self.known[piece]
        return hard

    def support(self, labels: LabelSet) -> dict[str, int]:
        """Rows that carry each label (a soft target counts from 0.5 on)."""
        counts = self.hard_targets.sum(axis=0)
        return {name: int(count) for name, count in zip(labels.names, counts, strict=True)}

    def annotated(self, labels: LabelSet) -> dict[str, int]:
        """Rows in which each label is annotated."""
        counts = self.known.sum(axis=0)
        return {name: int(count) for name, count in zip(labels.names, counts, strict=True)}

    def take(self, rows: Sequence[int] | NDArray[np.integer], **changes: Any) -> Corpus:
        """Some of the rows, in the order given and with other fields changed on the way; a row may be taken twice."""
        chosen = np.asarray(rows, dtype=np.intp)
        if not changes and np.array_equal(chosen, np.arange(len(self))):
            return self  # nothing is copied where all rows stay, as in most steps of cleaning
        own = {name: getattr(self, name) for name in (*COLUMNS, *ARRAYS) if name not in changes}
        fields = {
            name: values if values is None else values.take(chosen) if isinstance(values, Column) else
            arrays.rows_of(values, chosen) for name, values in own.items()
        }  # fmt: skip
        taken = replace(self, **{**fields, **changes})
        return taken._with_keys(self.keys.take(chosen)) if "keys" in self.__dict__ else taken

    def counted(self, **counts: Any) -> Corpus:
        """The same rows with some counts set and `kept` brought up to date."""
        same = replace(self, counts=replace(self.counted_rows, kept=len(self), **counts))
        return same._with_keys(self.keys) if "keys" in self.__dict__ else same

    def _with_keys(self, keys: Column[str]) -> Corpus:
        """The same rows, whose keys are known already."""
        self.__dict__["keys"] = keys
        return self


@dataclass(frozen=True)
class Splits:
    """What a model is trained, tuned and tested on; `test` is None where the corpus has none."""

    train: Corpus
    dev: Corpus
    test: Corpus | None
    labels: LabelSet
    report: DataReport
    scale: Scale | None = None
    """Of intensities, whose shares 0..1 the targets are then."""

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
        sizes = {name: len(split) for name, split in self.named().items()}
        return {"fingerprint": self.fingerprint, "rows": sizes, **self.report.to_json()}

    def named(self) -> dict[str, Corpus]:
        """The splits there are, by name."""
        splits = {TRAIN: self.train, DEV: self.dev, TEST: self.test}
        return {name: split for name, split in splits.items() if split is not None}


def _all_or_none(join: Callable[[list[Any]], Any], parts: Sequence[Any | None]) -> Any | None:
    return None if any(part is None for part in parts) else join(list(parts))


def label_frequencies(corpus: Corpus) -> NDArray[np.float64]:
    """Share of the annotated rows that carry each label, shape (L,)."""
    known = corpus.known.sum(axis=0)
    positive = corpus.targets.sum(axis=0, dtype=np.float64, where=corpus.known)
    return np.asarray(np.divide(positive, known, out=np.zeros(len(known)), where=known > 0))
