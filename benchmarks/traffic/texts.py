"""What requests carry: real texts of mixed lengths, from a file or the embedded corpus."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from shared.errors import DataFormatError, DataNotFoundError, EmptyDataError


def read_texts(path: Path | None) -> list[str]:
    """Texts of a file, or of the embedded corpus when None.

    `.jsonl`: the field `text` of each line; `.tsv`: the first column, as GoEmotions has it; else a text a line.

    Raises:
        DataNotFoundError: when there is no such file.
        DataFormatError: for a line of JSON without a text.
        EmptyDataError: when it holds no text.
    """
    if path is None:
        return _sample_texts()
    if not path.is_file():
        raise DataNotFoundError(f"there is no file of texts at {path}.")
    lines = path.read_text(encoding="utf-8").splitlines()
    if path.suffix == ".jsonl":
        texts = [_json_text(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    elif path.suffix == ".tsv":
        texts = [line.split("\t")[0] for line in lines]
    else:
        texts = lines
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise EmptyDataError(f"{path} holds no text.")
    return texts


def _json_text(path: Path, number: int, line: str) -> str:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise DataFormatError(f'{path}, line {number}: not an object with a string "text".')
    return text


def _sample_texts() -> list[str]:
    from training.config.data import SourceConfig
    from training.data.sources.sample import read_sample

    corpus = read_sample(SourceConfig(kind="sample"))
    return [str(text) for split in corpus.splits.values() for text in split.texts]


def request_bodies(texts: Sequence[str], texts_per_request: int, seed: int = 0) -> Iterator[bytes]:
    """Bodies of `POST /predict` without end: the texts in a shuffled order, shuffled anew when all were used."""
    stream = _shuffled(texts, seed)
    while True:
        yield json.dumps({"texts": list(islice(stream, texts_per_request))}).encode()


def _shuffled(texts: Sequence[str], seed: int) -> Iterator[str]:
    shuffler, order = random.Random(seed), list(texts)
    while True:
        shuffler.shuffle(order)
        yield from order
