"""What is asked of a bundle with the 28 GoEmotions labels, as counts of right answers.

The texts in `texts/` were written before the embedded corpus got its files on negation, distress and emoji, and none of
them is in it. They judge, so nothing is fitted on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.labels import LabelSet, taxonomies_for

TEXTS = Path(__file__).parent / "texts"
PERCEPTIBLE = 0.02
"""Least difference of a probability at which two texts count as told apart."""

Probabilities = Callable[[Sequence[str]], NDArray[np.floating]]
"""N texts -> calibrated probabilities, shape (N, L)."""


@dataclass(frozen=True)
class Outcome:
    """So many of `total` were right, and the texts that were not."""

    right: int
    total: int
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Reader:
    """A model as the checks see it: probabilities, and thresholds of shape (L,) that decide."""

    probabilities: Probabilities
    thresholds: NDArray[np.floating]
    labels: LabelSet

    def decided(self, texts: Sequence[str]) -> list[list[str]]:
        """Labels decided for each text."""
        return self.labels.names_of(self.probabilities(texts) >= self.thresholds)


def all_outcomes(reader: Reader) -> Mapping[str, Outcome]:
    """Every check by its name."""
    return {
        "negated emotion not decided, plain one decided": negation_pairs(reader),
        "journal: intended label first": journal_ranks(reader, 1),
        "journal: intended label among three": journal_ranks(reader, 3),
        "distress: not only positive or ambiguous": distress(reader),
        "emoji: pair told apart": emoji_pairs(reader),
        "emoji: strongest feeling on its side": emoji_sides(reader),
    }


def negation_pairs(reader: Reader) -> Outcome:
    """Pairs in which the label is not decided for the negated sentence and is decided for the plain one."""
    rows = read("negation")
    negated, plain = (reader.decided([row[column] for row in rows]) for column in (1, 2))
    return _outcome(
        (label not in without and label in having, f"{label}: {row[1]} {without} / {row[2]} {having}")
        for row, without, having in zip(rows, negated, plain, strict=True)
        for label in row[:1]
    )


def journal_ranks(reader: Reader, among: int) -> Outcome:
    """Sentences whose intended label is among the `among` most probable."""
    rows = read("journal")
    ranked = np.argsort(-reader.probabilities([text for _, text in rows]), axis=1)[:, :among]
    return _outcome(
        (label in (first := [reader.labels.names[i] for i in order]), f"{label}: {text} {first}")
        for (label, text), order in zip(rows, ranked, strict=True)
    )


def distress(reader: Reader) -> Outcome:
    """Texts whose decided labels, if any, are not all positive or ambiguous."""
    texts = [text for (text,) in read("distress")]
    groups = taxonomies_for(reader.labels)["sentiment"].groups
    harmless = {*groups["positive"], *groups["ambiguous"]}
    return _outcome(
        (not labels or not harmless.issuperset(labels), f"{text} {labels}")
        for text, labels in zip(texts, reader.decided(texts), strict=True)
    )


def emoji_pairs(reader: Reader) -> Outcome:
    """Pairs that differ in their emoji alone, of which some probability differs perceptibly."""
    texts = [text for _, text in read("emoji")]
    found = reader.probabilities(texts)
    apart = np.abs(found[::2] - found[1::2]).max(axis=1) > PERCEPTIBLE
    return _outcome(zip(apart.tolist(), texts[::2], strict=True))


def emoji_sides(reader: Reader) -> Outcome:
    """Texts whose most probable label, neutral left aside, has the sentiment of their emoji."""
    rows = read("emoji")
    groups = taxonomies_for(reader.labels)["sentiment"].groups
    found = reader.probabilities([text for _, text in rows]).copy()
    found[:, reader.labels.index("neutral")] = -1
    strongest = [reader.labels.names[i] for i in found.argmax(axis=1)]
    return _outcome(
        (label in groups[side], f"{text} {label}") for (side, text), label in zip(rows, strongest, strict=True)
    )


def read(name: str) -> list[list[str]]:
    """The rows of a file in `texts/`."""
    return [line.split("\t") for line in (TEXTS / f"{name}.tsv").read_text(encoding="utf-8").splitlines()]


def _outcome(judged: Iterable[tuple[bool, str]]) -> Outcome:
    rows = list(judged)
    wrong = tuple(shown for right, shown in rows if not right)
    return Outcome(len(rows) - len(wrong), len(rows), wrong)
