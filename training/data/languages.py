"""Corpora of several languages: which rows are taken, how often each language is seen, and what is said of them.

Shapes: N rows, L labels, K languages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shared.errors import ConfigError, DataFormatError, InvalidInputError
from shared.languages import language_code
from training.data import arrays
from training.data.column import Column, numbered
from training.data.corpus import Corpus
from training.data.sources.base import TRAIN, RawCorpus, RawSplit


def languages_of(split: RawSplit, raw: RawCorpus) -> Column[str] | None:
    """The language of each row of a split; None where the source does not say."""
    if split.languages:
        return Column.of(split.languages)
    return None if raw.language is None else Column.repeated(raw.language, len(split))


def in_languages(parts: Sequence[Corpus], wanted: Sequence[str] | None) -> list[Corpus]:
    """The rows of all parts that are in one of the languages wanted, all for None.

    Parts are split before, so that a row held out of a training in all languages is held out here.

    Raises:
        ConfigError: for what is no code of a language, or a source that does not say which its rows are in.
        DataFormatError: when no row is in a language that is wanted.
    """
    if wanted is None:
        return list(parts)
    try:
        codes = [language_code(word) for word in wanted]
    except InvalidInputError as error:
        raise ConfigError(f"data.languages: {error.message}", hint=error.hint) from None
    unknown = [part.counted_rows.source for part in parts if part.languages is None]
    if unknown:
        raise ConfigError(
            f"data.languages is given, and the language of the rows of {unknown[0]} is not known.",
            hint="Name it with language, or the column that says it with language_column.",
        )
    there = {code for part in parts for code in part.languages or ()}
    absent = [code for code in codes if code not in there]
    if absent:
        raise DataFormatError(
            f"no row is in the language {absent[0]}, which data.languages names.",
            hint=f"The rows are in: {', '.join(sorted(filter(None, there))) or 'none that is known'}.",
        )
    kept = []
    for part in parts:
        rows = np.flatnonzero(np.fromiter((code in codes for code in part.languages or ()), dtype=np.bool_))
        if len(rows):
            kept.append(part.take(rows).counted(read=part.counted_rows.read - len(part) + len(rows)))
    return kept


def with_language_columns(rows: Corpus) -> NDArray[np.float32]:
    """Targets with one further column a language, shape (N, L + K), for splits that keep the share of each."""
    names, place = numbered(rows.languages or ())
    if len(names) < 2:
        return rows.targets
    num_labels = rows.targets.shape[1]
    columns = arrays.zeros((len(rows), num_labels + len(names)), np.float32)
    columns[:, :num_labels] = rows.targets
    columns[np.arange(len(rows)), num_labels + place] = 1.0
    return columns


def sampling_shares(rows: NDArray[np.number], alpha: float) -> NDArray[np.float64]:
    """Share of every language among the rows drawn, in proportion to n^alpha, shape (K,).

    Source: Conneau et al., "Unsupervised Cross-lingual Representation Learning at Scale", ACL 2020 (alpha 0.3 there).

    Args:
        rows: n, training rows of every language, each above 0, shape (K,).
        alpha: 1 leaves the shares as they are, 0 makes them equal.
    """
    powers = np.asarray(rows, dtype=np.float64) ** alpha
    return np.asarray(powers / powers.sum())


def tempered(parts: Sequence[Corpus], alpha: float | None) -> list[Corpus]:
    """The parts with training rows weighted so that languages have the shares of `sampling_shares` in every epoch.

    An epoch has as many rows as before. Rows of a language stay in the proportions that the weights of their sources
    give them. Which rows are drawn follows from seed and epoch, as ever, so that a resumed run draws the same.

    Raises:
        ConfigError: when the language of a training row is not known.
    """
    train = [part for part in parts if part.split == TRAIN]
    if alpha is None or not sum(map(len, train)):
        return list(parts)
    unknown = [part.counted_rows.source for part in train if part.languages is None or "" in part.languages]
    if unknown:
        raise ConfigError(
            f"data.language_alpha is {alpha:g}, and the language of rows of {', '.join(unknown)} is not known.",
            hint="Name it with language, or the column that says it with language_column.",
        )
    names, place = numbered(code for part in train for code in part.languages or ())
    weights = np.concatenate([part.weights for part in train]).astype(np.float64)
    rows = np.bincount(place, weights=weights, minlength=len(names))
    factor = sampling_shares(rows, alpha) * rows.sum() / rows
    changed, start = [], 0
    for part in parts:
        if part.split == TRAIN:
            end = start + len(part)
            part = replace(part, weights=(weights[start:end] * factor[place[start:end]]).astype(np.float32))  # noqa: PLW2901
            start = end
        changed.append(part)
    return changed


def language_counts(rows: Corpus) -> dict[str, int]:
    """Code of a language -> rows in it; empty where that of a row is not known."""
    counts = Counter(rows.languages or [""])
    return {} if "" in counts else dict(sorted(counts.items()))


def texts_in_words(rows: Corpus) -> str:
    """What a card calls a text like these rows: in which language, where that is known of all."""
    codes = list(language_counts(rows))
    return {(): "a text", ("en",): "an English text"}.get((*codes,), f"a text in {', '.join(codes)}")


def describe_languages(train: Corpus) -> str | None:
    """How many training rows each language has, and how many of them an epoch; None where there is just one."""
    names, place = numbered(train.languages or ())
    if len(names) < 2:
        return None
    counts = np.bincount(place)
    seen = np.bincount(place, weights=train.weights, minlength=len(names))
    each = (
        f"{name or 'unknown'} {count:,}" + (f" ({drawn:,.0f} an epoch)" if round(drawn) != count else "")
        for name, count, drawn in zip(names, counts.tolist(), seen.tolist(), strict=True)
    )
    return f"languages of the training rows: {', '.join(each)}"
