"""A tiny training task in process: texts whose label follows from one word."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from shared.tokenizer import TextTokenizer
from training.config import Config
from training.data.batching import build_sampler
from training.data.corpus import Corpus
from training.data.encode import encode_corpus, lengths_of
from training.loop.training_rows import TrainingRows
from training.losses.build import build_loss
from training.losses.class_weights import LabelCounts

LABELS = ("joy", "anger", "fear")
CUES = ("happy", "angry", "afraid")
FILLERS = ("i", "you", "we", "they", "feel", "felt", "so", "very", "today", "and", "my", "work", "home", "because")


def tiny_corpus(rows: int, seed: int, *, known: float = 1.0) -> Corpus:
    """Texts of 4 to 8 words with one cue or two; a share of the entries `known`."""
    random = np.random.default_rng(seed)
    targets = np.zeros((rows, len(LABELS)), dtype=np.float32)
    texts = []
    for row in range(rows):
        chosen = random.choice(len(LABELS), size=random.integers(1, 3), replace=False)
        targets[row, chosen] = 1
        words = [*random.choice(FILLERS, size=random.integers(3, 7)), *(CUES[label] for label in chosen)]
        texts.append(" ".join(random.permutation(words)))
    return Corpus(
        texts=texts,
        targets=targets,
        known=random.random(targets.shape) < known,
        ids=[str(row) for row in range(rows)],
        source=["tiny"] * rows,
        weights=np.ones(rows, dtype=np.float32),
    )


def tiny_rows(config: Config, model: Path, *, train: int = 48, dev: int = 24) -> TrainingRows:
    """Encoded splits of the task with the sampler and loss that `config` asks for."""
    tokenizer = TextTokenizer.from_file(model / "tokenizer.json", max_length=16)
    corpus = tiny_corpus(train, seed=0)
    train_rows, dev_rows = (encode_corpus(part, tokenizer) for part in (corpus, tiny_corpus(dev, seed=1)))
    sampler = build_sampler(
        corpus, lengths_of(train_rows), config.data.sampling, batch_size=config.optim.batch_size, seed=config.run.seed
    )
    loss = build_loss(config.loss, LabelCounts.of(corpus.targets, corpus.known))
    return TrainingRows(train_rows, dev_rows, sampler, tokenizer, loss)


def write_table(path: Path, rows: int = 120) -> Path:
    """The task as a JSONL table with the columns `text` and `labels`."""
    corpus = tiny_corpus(rows, seed=2)
    texts = dict(zip(corpus.texts, corpus.targets, strict=True))
    content = [
        {"text": text, "labels": [LABELS[column] for column in np.flatnonzero(target)]}
        for text, target in texts.items()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return path
