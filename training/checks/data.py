"""Whether the corpus can teach what the model is to learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.errors import PreflightError
from shared.labels import LabelSet
from shared.tokenizer import TextTokenizer
from training.checks.check import Check
from training.data.corpus import Corpus, Splits

LENGTH_SAMPLE = 2000
"""Texts whose tokens are counted."""


def data_checks(data: Splits, tokenizer: TextTokenizer) -> list[Check]:
    """Checks of the splits."""
    return [
        Check("labels", lambda: check_labels(data.train, data.labels)),
        Check("leaks", lambda: check_leaks(data)),
        Check("lengths", lambda: check_lengths(data.train.texts, tokenizer)),
    ]


def check_labels(train: Corpus, labels: LabelSet) -> str:
    """Whether every label has training rows with and without it.

    Raises:
        PreflightError: for labels that no row annotates, that no row has, or that every row has.
    """
    annotated, positive = train.known.sum(axis=0), train.hard_targets.sum(axis=0)
    problems = []
    for reason, wrong in {
        "annotated in no training row": annotated == 0,
        "without a positive training row (all zero)": (positive == 0) & (annotated > 0),
        "positive in every training row (all one)": (positive == annotated) & (annotated > 0),
    }.items():
        if wrong.any():
            problems.append(f"{reason}: {', '.join(labels.names[column] for column in np.flatnonzero(wrong))}")
    if problems:
        raise PreflightError(
            f"labels that cannot be learnt from {len(train):,} rows: {'; '.join(problems)}.",
            hint="Name the labels to learn with --data.labels, add a corpus, or raise --data.max_train_rows.",
        )
    rarest, commonest = int(positive.argmin()), int(positive.argmax())
    return (
        f"{len(labels)} labels in {len(train):,} rows, from {labels.names[rarest]} ({positive[rarest]:,}) "
        f"to {labels.names[commonest]} ({positive[commonest]:,}); "
        f"{train.hard_targets.sum(axis=1).mean():.2f} labels a row"
    )


def check_leaks(data: Splits) -> str:
    """Whether no text of train is also in a held-out split.

    Raises:
        PreflightError: when there are such texts.
    """
    train = set(data.train.keys)
    for name, split in (("dev", data.dev), ("test", data.test)):
        shared = train & set(split.keys) if split is not None else set()
        if shared:
            raise PreflightError(
                f"{len(shared):,} texts of train are also in {name}, so that its metrics would flatter the model.",
                hint="Remove them from the training file.",
            )
    return "no text of train is also in dev or test"


def check_lengths(texts: Sequence[str], tokenizer: TextTokenizer) -> str:
    """How long texts are in tokens, over an even sample.

    Raises:
        PreflightError: when most texts lose tokens.
    """
    step = max(1, len(texts) // LENGTH_SAMPLE)
    rows = tokenizer.encode(list(texts[::step]))
    lengths, cut = np.array([row.num_tokens for row in rows]), np.mean([row.truncated for row in rows])
    if cut > 0.5:
        raise PreflightError(
            f"{cut:.0%} of the texts are longer than data.max_length {tokenizer.max_length}; half of them are longer "
            f"than {np.median(lengths):.0f} tokens.",
            hint="Raise --data.max_length.",
        )
    middle, high = np.percentile(lengths, (50, 99))
    return f"median {middle:.0f} tokens, 99 % up to {high:.0f}; {cut:.1%} longer than {tokenizer.max_length}"
