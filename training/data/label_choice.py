"""Which labels a model gets, and how the labels of a corpus fall into them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import ConfigError, DataFormatError
from shared.labels import GOEMOTIONS, LabelSet
from training.config.data import DataConfig
from training.data import arrays
from training.data.files import existing, read_lines
from training.data.sources.base import RawCorpus, RawSplit

ALL = "all"
"""What `annotated` says where every label was asked about."""


def named_labels(config: DataConfig) -> LabelSet | None:
    """The label set given by `labels` or `labels_file`; None when neither is.

    Raises:
        ConfigError: when both are given.
        DataNotFoundError: when the file is missing.
        DataFormatError: for an empty or repeated name.
    """
    if config.labels is not None and config.labels_file is not None:
        raise ConfigError("data.labels and data.labels_file are both given; give one of them.")
    if config.labels is not None:
        return LabelSet(tuple(config.labels))
    if config.labels_file is None:
        return None
    path = existing(Path(config.labels_file), "the label file", "It is a text file with one label a line.")
    names = [line.strip() for line in read_lines(path)]
    try:
        return LabelSet(tuple(names))
    except DataFormatError as error:
        raise DataFormatError(f"{path}: {error.message}") from None


def choose_labels(named: LabelSet | None, corpora: Sequence[RawCorpus]) -> LabelSet:
    """The labels of the model: the named ones, else the 28 where GoEmotions is a source, else those of the sources.

    Raises:
        DataFormatError: when a named label is annotated by no corpus.
    """
    found = list({name.casefold(): name for corpus in reversed(corpora) for name in reversed(corpus.labels)}.values())
    found.reverse()
    if named is None:
        with_goemotions = any(set(corpus.labels) == set(GOEMOTIONS) for corpus in corpora)
        return LabelSet(GOEMOTIONS if with_goemotions else tuple(found))
    known = {name.casefold() for name in found}
    absent = [name for name in named.names if name.casefold() not in known]
    if absent:
        near = difflib.get_close_matches(absent[0], found, n=1)
        raise DataFormatError(
            f"the label set names labels that no corpus annotates: {', '.join(absent)}.",
            hint=f"Did you mean '{near[0]}'?" if near else f"The corpora annotate: {', '.join(found)}.",
        )
    return named


def columns_in(corpus: RawCorpus, labels: LabelSet) -> dict[int, int]:
    """Column of the corpus -> column of the model, for every label they share (upper and lower case are the same).

    Raises:
        DataFormatError: when they share none, when two labels fall together, or when a label of a table is not in
            the set.
    """
    position = {name.casefold(): column for column, name in enumerate(labels.names)}
    position |= {name: column for column, name in enumerate(labels.names)}
    shared = {
        column: position.get(name, position.get(name.casefold(), -1)) for column, name in enumerate(corpus.labels)
    }
    outside = [corpus.labels[column] for column, target in shared.items() if target < 0]
    inside = {column: target for column, target in shared.items() if target >= 0}
    if (outside and corpus.strict) or not inside:
        raise DataFormatError(
            f"{corpus.kind} {corpus.origin} has labels that are not in the label set: {', '.join(outside)}.",
            hint=f"The label set is: {', '.join(labels.names)}; data.rename, data.drop and data.taxonomy map labels.",
        )
    if len(set(inside.values())) < len(inside):
        twice = [corpus.labels[c] for c, t in inside.items() if list(inside.values()).count(t) > 1]
        raise DataFormatError(
            f"{corpus.kind} {corpus.origin}: the labels {', '.join(twice)} fall together in the label set."
        )
    return inside


def align(
    split: RawSplit, columns: dict[int, int], num_labels: int, annotated: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Targets in the model's columns and which entries are annotated, both of shape (N, L).

    Args:
        split: rows of a source with K labels.
        columns: column of the source -> column of the model.
        num_labels: L.
        annotated: labels of the model that the user says were asked about in every row, shape (L,).
    """
    aligned = arrays.zeros((len(split), num_labels), np.float32)
    known = arrays.zeros((len(split), num_labels), np.bool_)
    ours, theirs = list(columns.values()), list(columns)
    for piece in arrays.pieces(len(split)):
        if annotated is not None:
            known[piece, annotated] = True
        aligned[piece, ours] = split.targets[piece, theirs]
        known[piece, ours] = True if split.known is None else split.known[piece, theirs]
        aligned[piece][~known[piece]] = 0.0
    return aligned, known


def annotated_labels(said: str | None, labels: LabelSet) -> NDArray[np.bool_] | None:
    """The labels that the user says were asked about, shape (L,); None when nothing is said.

    Raises:
        ConfigError: for a name that is not in the label set.
    """
    if said is None:
        return None
    if said.strip().casefold() == ALL:
        return np.ones(len(labels), dtype=np.bool_)
    names = {name.casefold(): column for column, name in enumerate(labels.names)}
    marked = np.zeros(len(labels), dtype=np.bool_)
    for name in said.strip("[] ").split(","):
        if name.strip().casefold() not in names:
            raise ConfigError(
                f"data.annotated names '{name.strip()}', which is not in the label set.",
                hint=f"Say all, or some of: {', '.join(labels.names)}.",
            )
        marked[names[name.strip().casefold()]] = True
    return marked
