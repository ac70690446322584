"""Whether the corpus can teach what the model is to learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.errors import PreflightError
from shared.labels import LabelSet
from shared.tokenizer import TextTokenizer
from training.checks.check import Check
from training.data.clean import near_duplicates
from training.data.corpus import Corpus, Splits
from training.data.keys import rows_inside

LENGTH_SAMPLE = 2000
"""Texts whose tokens are counted."""
MOST_UNKNOWN = 0.25
"""Share of a split's tokens that the vocabulary may lack."""
MOST_POSITIVE = 0.8
"""Share of the annotated entries of three labels or more that may be positive: above it the labels were misread."""
MOST_CONFLICTS, FEWEST_CONFLICTS = 0.5, 10
"""Share of a split's texts whose copies may have different labels, and how many are needed to judge."""


def data_checks(data: Splits, tokenizer: TextTokenizer) -> list[Check]:
    """Checks of the splits."""
    check = check_labels if data.scale is None else check_intensities
    return [
        Check("labels", lambda: check(data.train, data.labels)),
        Check("conflicts", lambda: check_conflicts(data)),
        Check("leaks", lambda: check_leaks(data)),
        Check("lengths", lambda: check_lengths(data.train.texts, tokenizer)),
        Check("unknown_tokens", lambda: check_unknown_tokens(data, tokenizer)),
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
    share = positive.sum() / annotated.sum()
    if len(labels) >= 3 and share > MOST_POSITIVE:
        raise PreflightError(
            f"nearly all labels are on nearly all rows ({share:.0%} of the entries): the labels were probably misread.",
            hint="Look at what `python -m training.data` says of the columns and cells.",
        )
    rarest, commonest = int(positive.argmin()), int(positive.argmax())
    return (
        f"{len(labels)} labels in {len(train):,} rows, from {labels.names[rarest]} ({positive[rarest]:,}) "
        f"to {labels.names[commonest]} ({positive[commonest]:,}); "
        f"{train.hard_targets.sum(axis=1).mean():.2f} labels a row"
    )


def check_intensities(train: Corpus, labels: LabelSet) -> str:
    """Whether the intensities of every label are annotated and vary.

    Raises:
        PreflightError: for labels that no row annotates, or whose rows have one value.
    """
    problems, spreads = [], []
    for name, targets, known in zip(labels.names, train.targets.T, train.known.T, strict=True):
        values = targets[known]
        spreads.append(float(values.std()) if len(values) else 0.0)
        if not len(values):
            problems.append(f"{name} is annotated in no training row")
        elif (values == values[0]).all():
            problems.append(f"{name} has the same value in all {len(values):,} training rows")
    if problems:
        raise PreflightError(
            f"intensities that cannot be learnt: {'; '.join(problems)}.",
            hint="Name the labels to learn with --data.labels, or add a corpus.",
        )
    least = int(np.argmin(spreads))
    return (
        f"{len(labels)} labels with intensities in {len(train):,} rows, {train.known.mean():.0%} of the entries "
        f"annotated; deviation from {spreads[least]:.2f} of the scale ({labels.names[least]}) to {max(spreads):.2f}"
    )


def check_conflicts(data: Splits) -> str:
    """How many texts had copies with different labels.

    Raises:
        PreflightError: when most had: then each row is a rating, or the labels are not in the column that was read.
    """
    conflicts = sum(count.conflicts for count in data.report.counts)
    if data.scale is not None:
        return f"{conflicts:,} texts had copies with other intensities; theirs are averaged"
    for count in data.report.counts:
        if count.conflicts >= FEWEST_CONFLICTS and count.conflicts > MOST_CONFLICTS * count.texts:
            raise PreflightError(
                f"{count.conflicts:,} of {count.texts:,} texts of {count.source} {count.split} occur several times "
                "with different labels: the rows are ratings, or the labels are in another column.",
                hint="Say how ratings become labels with --data.aggregate, or name the column: --data.label_column.",
            )
    return f"{conflicts:,} texts had copies with different labels"


def check_leaks(data: Splits) -> str:
    """Whether no text of train is also in a held-out split.

    Raises:
        PreflightError: when there are such texts.
    """
    for name, split in (("dev", data.dev), ("test", data.test)):
        shared = set() if split is None else set(split.keys.take(rows_inside(split.keys, data.train.keys)))
        if shared:
            raise PreflightError(
                f"{len(shared):,} texts of train are also in {name}, so that its metrics would flatter the model.",
                hint="Remove them from the training file.",
            )
    held_out = {name: split for name, split in data.named().items() if split is not data.train}
    near = {name: near_duplicates(data.train, split) for name, split in held_out.items()}
    alike = ", ".join(f"{count:,} of {name}" for name, count in near.items() if count)
    return f"no text of train is also in dev or test{f'; nearly equal to one are {alike}' if alike else ''}"


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


def check_unknown_tokens(data: Splits, tokenizer: TextTokenizer) -> str:
    """Which share of each split's tokens the vocabulary lacks, over an even sample.

    Raises:
        PreflightError: when a split has too many: the model cannot read its language or script.
    """
    unknown = tokenizer.unknown_id
    if unknown is None:
        return "none: the vocabulary covers all bytes"
    shares = {}
    for name, split in data.named().items():
        rows = tokenizer.encode(split.texts[:: max(1, len(split) // LENGTH_SAMPLE)])
        ids = np.concatenate([row.ids for row in rows])
        special = np.isin(ids, tokenizer.special_ids)
        shares[name] = float((ids[~special] == unknown).sum() / max(1, (~special).sum()))
    said = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    if max(shares.values()) > MOST_UNKNOWN:
        raise PreflightError(
            f"the vocabulary of the model lacks much of what the texts hold (unknown tokens: {said}).",
            hint="Choose a checkpoint for that language, a multilingual one for example, with --model.name.",
        )
    return said
