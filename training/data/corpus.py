"""The one class for rows on their way from a source to a split: texts, targets, what is annotated, names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.context import Context, context_of, turns_to_json
from shared.intensity import Scale
from shared.labels import LabelSet
from shared.text import normalise
from training.data.report import DataReport, SourceInfo, SplitCounts
from training.data.sources.base import DEV, TEST, TRAIN

_TURN = "\x1e"
"""Before each previous turn in a key."""


def text_keys(texts: Sequence[str | None]) -> list[str]:
    """Normalised texts, "" for a null or empty one, with the turns before them: equal where two rows say the same.

    The same words after other words are another row: "Really?" may be joy or anger.
    """
    return [_key(text) if isinstance(text, str) else "" for text in texts]


def _key(text: str) -> str:
    words = normalise(text)
    said = context_of(text) if words else ()
    if not said:
        return text if words == text else words  # most texts are their own key: one string in memory in place of two
    return "".join((words, *(f"{_TURN}{turn.speaker or ''}{_TURN}{normalise(turn.text)}" for turn in said)))


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

    texts: list[str]
    targets: NDArray[np.float32]
    known: NDArray[np.bool_]
    ids: list[str]
    source: list[str]
    weights: NDArray[np.float32]
    created_s: NDArray[np.float64] | None = None
    counts: SplitCounts | None = None
    groups: list[str] | None = None
    languages: list[str] | None = None

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
    def keys(self) -> list[str]:
        """Normalised texts, with the turns before them: two rows hold the same text when their keys are equal."""
        return text_keys(self.texts)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over texts, previous turns where there are any, names, targets and masks in order."""
        digest = hashlib.sha256()
        contexts = self.contexts
        said = [json.dumps(turns_to_json(context)) for context in contexts] if any(contexts) else []
        for column in (self.texts, self.ids, said):
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

    @property
    def utterances(self) -> list[str]:
        """Normalised texts without the turns before them."""
        return [key.partition(_TURN)[0] for key in self.keys]

    @property
    def contexts(self) -> list[Context]:
        """The turns before each text."""
        return [context_of(text) for text in self.texts]

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
        fields: dict[str, Any] = {
            "texts": [self.texts[row] for row in chosen],
            "targets": self.targets[chosen],
            "known": self.known[chosen],
            "ids": [self.ids[row] for row in chosen],
            "source": [self.source[row] for row in chosen],
            "weights": self.weights[chosen],
            "created_s": None if self.created_s is None else self.created_s[chosen],
            "groups": None if self.groups is None else [self.groups[row] for row in chosen],
            "languages": None if self.languages is None else [self.languages[row] for row in chosen],
        }
        taken = replace(self, **{**fields, **changes})
        if "keys" in self.__dict__:
            taken.__dict__["keys"] = [self.keys[row] for row in chosen]
        return taken

    def counted(self, **counts: Any) -> Corpus:
        """The same rows with some counts set and `kept` brought up to date."""
        same = replace(self, counts=replace(self.counted_rows, kept=len(self), **counts))
        if "keys" in self.__dict__:
            same.__dict__["keys"] = self.keys
        return same


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


def label_frequencies(corpus: Corpus) -> NDArray[np.float64]:
    """Share of the annotated rows that carry each label, shape (L,)."""
    known = corpus.known.sum(axis=0)
    positive = (corpus.targets * corpus.known).sum(axis=0, dtype=np.float64)
    return np.asarray(np.divide(positive, known, out=np.zeros(len(known)), where=known > 0))
