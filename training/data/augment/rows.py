"""New rows for rare labels in the training split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.context import context_of, with_context
from training.config import AugmentConfig
from training.data.augment.check import rejection_reason
from training.data.augment.counterfactual import swap_person
from training.data.augment.expansion import expand
from training.data.augment.paraphrase import paraphrase
from training.data.augment.synonyms import substitute
from training.data.column import Column
from training.data.corpus import Corpus, Splits
from training.data.keys import text_key

TRIES = 3
"""Attempts with each method before a copy is given up."""
Change = Callable[[str, np.random.Generator], str | None]


@dataclass(frozen=True)
class Augmented:
    """The training split with its new rows at the end, and what was done.

    Attributes:
        corpus: the rows there were, unchanged and in order, then the new ones.
        made: new rows by method.
        refused: attempts that were not taken, by reason.
        labels: rare labels with their rows before and after.
        below: support from which on a label is not rare; None when nothing was asked for.
    """

    corpus: Corpus
    made: Mapping[str, int]
    refused: Mapping[str, int]
    labels: Mapping[str, tuple[int, int]]
    below: int | None = None

    def lines(self) -> list[str]:
        """The account as lines of text; none when nothing was asked for."""
        if self.below is None:
            return []
        if not self.labels:
            return [f"augmentation: nothing to do, no label has fewer than {self.below:,} training rows"]
        made = ", ".join(f"{count:,} by {method}" for method, count in self.made.items()) or "none"
        refused = ", ".join(f"{count:,} {reason}" for reason, count in self.refused.items())
        rare = ", ".join(f"{name} {before:,} -> {after:,}" for name, (before, after) in self.labels.items())
        return [f"augmentation: new rows {made}; {rare}", *([f"  not taken: {refused}"] if refused else [])]


def augment_train(splits: Splits, config: AugmentConfig, seed: int) -> Augmented:
    """Make up to `copies` further texts from each training row with a rare label; dev and test stay as they are.

    A new text takes over labels, mask and weight of its row. It is taken only when it still says what its labels say
    and is in no split yet. The same seed makes the same texts, whatever other rows there are.

    Args:
        splits: rows of train are changed, those of dev and test are looked up so that none is repeated.
        config: methods and which labels are rare.
        seed: of all choices.
    """
    train = splits.train
    if not config.methods:
        return Augmented(train, {}, {}, {})
    rare = _rare_labels(train, config.below)
    if not len(rare):
        return Augmented(train, {}, {}, {}, config.below)
    taken = {key for split in (train, splits.dev, splits.test) if split for key in split.utterances}
    made: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    rows, texts, ids = [], [], []
    for row in np.flatnonzero(train.hard_targets[:, rare].any(axis=1)):
        if train.languages is not None and train.languages[row].split("-", 1)[0] not in ("", "en"):
            continue  # the words and sentences that are put in are English
        random = np.random.default_rng([seed, *train.ids[row].encode()])
        for copy in range(1, config.copies + 1):
            found = _new_text(train.texts[row], config, random, taken, refused)
            if found is None:
                break
            method, text = found
            made[method] += 1
            rows.append(int(row))
            texts.append(with_context(text, context_of(train.texts[row])))
            ids.append(f"{train.ids[row]}~{method}{copy}")
    corpus = _extended(train, rows, texts, ids)
    before, after = train.support(splits.labels), corpus.support(splits.labels)
    names = [splits.labels.names[label] for label in rare]
    return Augmented(corpus, made, refused, {name: (before[name], after[name]) for name in names}, config.below)


def _rare_labels(train: Corpus, below: int) -> NDArray[np.intp]:
    support = train.hard_targets.sum(axis=0)
    return np.flatnonzero((support > 0) & (support < below))


def _new_text(
    text: str, config: AugmentConfig, random: np.random.Generator, taken: set[str], refused: Counter[str]
) -> tuple[str, str] | None:
    """Method and text of the first attempt that can be taken; it is put among the taken ones."""
    changes = _changes(config)
    for method in random.permutation(np.repeat(config.methods, TRIES)).tolist():
        changed = changes[method](text, random)
        if changed is None:
            continue
        key = text_key(changed)
        reason = rejection_reason(text, changed) or ("repeated" if key in taken else None)
        if reason is None:
            taken.add(key)
            return method, changed
        refused[reason] += 1
    return None


def _changes(config: AugmentConfig) -> dict[str, Change]:
    return {
        "synonyms": lambda text, random: substitute(text, random, config.synonym_share),
        "expansion": expand,
        "paraphrase": paraphrase,
        "counterfactual": swap_person,
    }


def _extended(train: Corpus, rows: list[int], texts: list[str], ids: list[str]) -> Corpus:
    new = replace(train.take(rows), texts=Column.of(texts), ids=Column.of(ids))
    return Corpus.joined([train, new], name_sources=False)
