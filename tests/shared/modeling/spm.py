"""A tiny SentencePiece vocabulary in the layout of DeBERTa-v3's `spm.model`, trained in process."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from pathlib import Path

import sentencepiece

from tests.helpers import WORDS


def train_spm(path: Path, *, sentences: Sequence[str] | None = None, **options: object) -> Path:
    """Train on sentences, random ones of `tests.helpers.WORDS` for None, and write to `path`, which is returned."""
    draw = random.Random(0)
    sentences = sentences or [" ".join(draw.choices(WORDS, k=draw.randint(3, 12))) for _ in range(400)]
    stored = io.BytesIO()
    described = {
        "vocab_size": 150, "model_type": "unigram", "pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3,
        "pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]", "minloglevel": 2,
        "num_threads": 1,
    }  # fmt: skip
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=stored, **{**described, **options}
    )
    path.write_bytes(stored.getvalue())
    return path
