"""A corpus at a glance: support of the labels, labels that come together, lengths."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shared.intensity import Scale
from shared.labels import LabelSet
from shared.tokenizer import TextTokenizer
from training.data import arrays
from training.data.corpus import Corpus, Splits
from training.data.sources.base import DEV, TEST, TRAIN

TOP_PAIRS = 15
CHUNK = 4096
"""Texts tokenised at a time."""
PERCENTILES = (50, 95, 99, 100)


def overview(splits: Splits, tokenizer: TextTokenizer | None = None) -> list[str]:
    """Everything worth knowing about a corpus, as lines of text.

    Args:
        splits: the corpus.
        tokenizer: counts tokens and truncated texts; without it words are counted.
    """
    named = {TRAIN: splits.train, DEV: splits.dev, TEST: splits.test}
    corpora = {name: corpus for name, corpus in named.items() if corpus is not None}
    if splits.scale is not None:
        return [
            *splits.report.lines(), "", *intensity_table(corpora, splits.labels, splits.scale), "",
            *length_table(corpora, tokenizer), "", f"data fingerprint {splits.fingerprint}",
        ]  # fmt: skip
    return [
        *splits.report.lines(),
        "",
        *support_table(corpora, splits.labels),
        "",
        f"Labels that come together most in train ({TOP_PAIRS} pairs)",
        *co_occurrence(splits.train, splits.labels),
        "",
        *length_table(corpora, tokenizer),
        "",
        f"data fingerprint {splits.fingerprint}",
    ]


def support_table(corpora: Mapping[str, Corpus], labels: LabelSet) -> list[str]:
    """Positive rows of every label in every split, the share of train, and how many rows annotate it."""
    support = {name: corpus.support(labels) for name, corpus in corpora.items()}
    train = corpora[TRAIN]
    annotated = train.known.sum(axis=0)
    width = max(len(name) for name in (*labels.names, "rows without a label"))
    lines = [f"{'Support':{width}}" + "".join(f"{name:>9}" for name in corpora) + f"{'train %':>9}{'annotated':>11}"]
    for column, label in enumerate(labels.names):
        share = 100 * support[TRAIN][label] / max(1, int(annotated[column]))
        counts = "".join(f"{support[name][label]:9,}" for name in corpora)
        lines.append(f"{label:{width}}{counts}{share:9.2f}{annotated[column]:11,}")
    lines.append(f"{'rows':{width}}" + "".join(f"{len(corpus):9,}" for corpus in corpora.values()))
    bare = "".join(f"{int((~corpus.hard_targets.any(axis=1)).sum()):9,}" for corpus in corpora.values())
    lines.append(f"{'rows without a label':{width}}{bare}")
    mean = "".join(f"{corpus.hard_targets.sum(axis=1).mean():9.2f}" for corpus in corpora.values())
    return [*lines, f"{'labels per row':{width}}{mean}"]


def intensity_table(corpora: Mapping[str, Corpus], labels: LabelSet, scale: Scale) -> list[str]:
    """Rows that annotate each label in every split, and mean and deviation of its intensities."""
    width = max(len(name) for name in labels.names)
    lines = [f"Intensities on the scale {scale}: rows, mean, deviation"]
    lines.append(f"{'':{width}}" + "".join(f"{name:>26}" for name in corpora))
    for column, label in enumerate(labels.names):
        cells = []
        for corpus in corpora.values():
            values = scale.values(corpus.targets[corpus.known[:, column], column])
            spread = f"{values.mean():8.3f}{values.std():8.3f}" if len(values) else f"{'-':>8}{'-':>8}"
            cells.append(f"{len(values):10,}{spread}")
        lines.append(f"{label:{width}}{''.join(cells)}")
    return lines


def co_occurrence(corpus: Corpus, labels: LabelSet, top: int = TOP_PAIRS) -> list[str]:
    """The pairs of labels that share most rows, and which share of the rarer label's rows that is."""
    together = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for piece in arrays.pieces(len(corpus)):
        hard = corpus.hard_targets[piece].astype(np.int64)
        together += hard.T @ hard
    support = np.diag(together)
    together = np.triu(together, k=1)
    lines = []
    for flat in np.argsort(-together, axis=None, kind="stable")[:top]:
        first, second = np.unravel_index(flat, together.shape)
        count = int(together[first, second])
        if count == 0:
            break
        share = 100 * count / int(min(support[first], support[second]))
        lines.append(f"  {labels.names[first]} + {labels.names[second]}: {count:,} ({share:.0f} % of the rarer)")
    return lines or ["  no row has two labels"]


def length_table(corpora: Mapping[str, Corpus], tokenizer: TextTokenizer | None) -> list[str]:
    """Percentiles of the length of texts, and how many are longer than `max_length`."""
    unit = "words" if tokenizer is None else "tokens"
    lines = [f"Length in {unit}".ljust(20) + "".join(f"{f'p{p}' if p < 100 else 'max':>7}" for p in PERCENTILES)]
    for name, corpus in corpora.items():
        if tokenizer is None:
            lengths = [len(text.split()) for text in corpus.texts]
            cut = ""
        else:
            lengths, longer = [], 0
            for start in range(0, len(corpus), CHUNK):
                encoded = tokenizer.encode(corpus.texts[start : start + CHUNK])
                lengths += [row.num_tokens for row in encoded]
                longer += sum(row.truncated for row in encoded)
            cut = f"   {longer:,} longer than {tokenizer.max_length}, head and tail kept"
        lines.append(name.ljust(20) + "".join(f"{value:7.0f}" for value in np.percentile(lengths, PERCENTILES)) + cut)
    return lines
