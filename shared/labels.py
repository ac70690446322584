"""Label sets and taxonomies: names, their order, multi-hot rows, and coarser groups of labels."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shared.errors import DataFormatError, InvalidInputError

GOEMOTIONS: tuple[str, ...] = (
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
    "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy",
    "love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral",
)  # fmt: skip
"""The 28 labels in the order of their ids (Demszky et al., ACL 2020)."""


def label_difference(found: Sequence[str], expected: Sequence[str], where: tuple[str, str]) -> str:
    """In what two lists of labels differ, in words: their lengths, else the first label that is another one.

    Args:
        found: the labels that are wrong, or may be.
        expected: the labels they should be; not the same list.
        where: where either of the two stands.
    """
    if len(found) != len(expected):
        return f"{len(found)} labels in {where[0]} and {len(expected)} in {where[1]}"
    place = next(i for i, (one, other) in enumerate(zip(found, expected, strict=True)) if one != other)
    return f"label {place} is '{found[place]}' in {where[0]} and '{expected[place]}' in {where[1]}"


@dataclass(frozen=True)
class LabelSet:
    """Label names in the order of the model's outputs.

    Raises:
        DataFormatError: for an empty, blank or repeated name.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if not self.names or repeated or not all(name.strip() for name in self.names):
            problem = f"repeated: {', '.join(repeated)}" if repeated else f"received {list(self.names)}"
            raise DataFormatError(f"label names must be non-empty and distinct ({problem}).")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.names)}

    def index(self, name: str) -> int:
        """Position of `name`.

        Raises:
            DataFormatError: when the set has no such label; the nearest name is suggested.
        """
        try:
            return self._positions[name]
        except KeyError:
            near = difflib.get_close_matches(name, self.names, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Allowed: {', '.join(self.names)}."
            raise DataFormatError(f"unknown label '{name}'.", hint=hint) from None

    def multi_hot(self, rows: Sequence[Iterable[str | int]]) -> NDArray[np.float32]:
        """Rows of label names or ids as 0/1 rows, shape (N, L).

        Raises:
            DataFormatError: for an unknown name or an id outside 0..L-1.
        """
        matrix = np.zeros((len(rows), len(self)), dtype=np.float32)
        for row, labels in enumerate(rows):
            for label in labels:
                matrix[row, self._column(label)] = 1.0
        return matrix

    def _column(self, label: str | int) -> int:
        if isinstance(label, str):
            return self.index(label)
        if not 0 <= int(label) < len(self):
            raise DataFormatError(f"label id {label} is outside 0..{len(self) - 1}.")
        return int(label)

    def names_of(self, decisions: NDArray[np.bool_]) -> list[list[str]]:
        """Names of the labels set in each row of `decisions`, shape (N, L)."""
        return [[self.names[column] for column in np.flatnonzero(row)] for row in decisions]


@dataclass(frozen=True)
class Taxonomy:
    """Coarser groups of labels; `groups` maps each group's name to its member labels."""

    name: str
    groups: Mapping[str, tuple[str, ...]]


_JOY = ("admiration", "amusement", "approval", "caring", "desire", "excitement", "gratitude", "joy", "love",
        "optimism", "pride", "relief")  # fmt: skip
_ANGER = ("anger", "annoyance", "disapproval")
_FEAR = ("fear", "nervousness")
_SADNESS = ("sadness", "disappointment", "embarrassment", "grief", "remorse")
_SURPRISE = ("surprise", "realization", "confusion", "curiosity")

TAXONOMIES: Mapping[str, Taxonomy] = {
    "goemotions": Taxonomy("goemotions", {name: (name,) for name in GOEMOTIONS}),
    "ekman": Taxonomy(
        "ekman",
        {"anger": _ANGER, "disgust": ("disgust",), "fear": _FEAR, "joy": _JOY, "sadness": _SADNESS,
         "surprise": _SURPRISE, "neutral": ("neutral",)},
    ),
    "sentiment": Taxonomy(
        "sentiment",
        {"positive": _JOY, "negative": (*_ANGER, "disgust", *_FEAR, *_SADNESS), "ambiguous": _SURPRISE,
         "neutral": ("neutral",)},
    ),
}  # fmt: skip
"""The published groupings of the GoEmotions labels (Demszky et al., ACL 2020, and the authors' mapping files)."""


def taxonomies_for(labels: LabelSet) -> dict[str, Taxonomy]:
    """Taxonomies that fit `labels`, the finest first: the published ones for the 28, else one group a label."""
    if set(labels.names) == set(GOEMOTIONS):
        return dict(TAXONOMIES)
    return {"labels": Taxonomy("labels", {name: (name,) for name in labels.names})}


def taxonomy_for(name: str | None, labels: LabelSet) -> Taxonomy:
    """The taxonomy called `name` (the finest one for None).

    Raises:
        InvalidInputError: when `labels` have no such taxonomy; the allowed ones are listed.
    """
    allowed = taxonomies_for(labels)
    if name is None:
        return next(iter(allowed.values()))
    if name not in allowed:
        raise InvalidInputError(f"unknown taxonomy '{name}'.", hint=f"Allowed: {', '.join(allowed)}.")
    return allowed[name]


def group_speakers(
    probabilities: NDArray[np.floating],
    thresholds: NDArray[np.floating],
    labels: LabelSet,
    taxonomy: Taxonomy,
) -> NDArray[np.intp]:
    """Column of the member that speaks for every group, that with the largest margin p - t, shape (N, G).

    Args:
        probabilities: calibrated probabilities, shape (N, L).
        thresholds: one per label, shape (L,).
        labels: names of the L columns.
        taxonomy: the groups, G of them.
    """
    margins = probabilities.astype(np.float64) - np.asarray(thresholds, dtype=np.float64)
    members = [np.array([labels.index(name) for name in group]) for group in taxonomy.groups.values()]
    return np.stack([columns[margins[:, columns].argmax(axis=1)] for columns in members], axis=1)


def group_decisions(
    probabilities: NDArray[np.floating],
    thresholds: NDArray[np.floating],
    labels: LabelSet,
    taxonomy: Taxonomy,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability and threshold of every group, both of shape (N, G): a group is decided where any member is.

    They are those of its speaker, so that comparing the two returned arrays gives exactly the union of the members'
    decisions; for the arguments see `group_speakers`.
    """
    speakers = group_speakers(probabilities, thresholds, labels, taxonomy)
    spoken = np.take_along_axis(probabilities.astype(np.float64), speakers, axis=1)
    return spoken, np.asarray(thresholds, dtype=np.float64)[speakers]
