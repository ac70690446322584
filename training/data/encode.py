"""Texts as tokens, once: an Arrow file shared between epochs and runs, mapped into memory by every worker."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.environment import cache_root
from shared.files import replacing_file
from shared.tokenizer import TextTokenizer
from training.data.corpus import Corpus

FORMAT = "1"
"""Part of every key; raised when the columns change, so that older files are not read."""
CHUNK = 4096
"""Texts tokenised, and rows written, at a time."""
NO_CACHE = "none"
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


def token_cache(cache_dir: str | None) -> Path | None:
    """Folder of token files in `cache_dir`, `$EMOTION_CACHE` or `~/.cache/emotion-classifiers`; None for "none"."""
    if cache_dir == NO_CACHE:
        return None
    return (Path(cache_dir).expanduser() if cache_dir else cache_root()) / "tokens"


def encode_corpus(corpus: Corpus, tokenizer: TextTokenizer, *, cache: Path | None = None) -> datasets.Dataset:
    """Rows of `input_ids` (T tokens, special ones included), `labels` and `known` (L each) and `length` (T).

    The file's name is the hash of data, tokenizer and truncation, so a stale file is never read; it appears whole or
    not at all. A cache that cannot be written is done without.

    Args:
        corpus: N texts.
        tokenizer: the one that serving uses.
        cache: folder of the files, as `token_cache` gives it; None keeps the tokens in memory.
    """
    if cache is None:
        return _in_memory(corpus, tokenizer)
    path = cache / f"{_key(corpus, tokenizer)}.arrow"
    if not path.is_file():
        try:
            _write(corpus, tokenizer, path)
        except OSError as error:
            if error.errno not in NOT_WRITABLE:
                raise
            return _in_memory(corpus, tokenizer)
    return datasets.Dataset.from_file(str(path))


def lengths_of(encoded: datasets.Dataset) -> NDArray[np.int32]:
    """Number of tokens of every row, shape (N,)."""
    return np.asarray(encoded.data.column("length").to_numpy(), dtype=np.int32)


def _key(corpus: Corpus, tokenizer: TextTokenizer) -> str:
    return hashlib.sha256(f"{FORMAT}|{corpus.fingerprint}|{tokenizer.fingerprint}".encode()).hexdigest()[:40]


def _in_memory(corpus: Corpus, tokenizer: TextTokenizer) -> datasets.Dataset:
    return datasets.Dataset(pa.Table.from_batches(_batches(corpus, tokenizer), _schema(corpus)))


def _schema(corpus: Corpus) -> pa.Schema:
    num_labels = corpus.targets.shape[1]
    return pa.schema({
        "input_ids": pa.large_list(pa.int32()), "labels": pa.list_(pa.float32(), num_labels),
        "known": pa.list_(pa.bool_(), num_labels), "length": pa.int32(),
    })  # fmt: skip


def _batches(corpus: Corpus, tokenizer: TextTokenizer) -> Iterator[pa.RecordBatch]:
    """The rows, `CHUNK` at a time."""
    schema = _schema(corpus)
    for start in range(0, len(corpus), CHUNK):
        chunk = slice(start, start + CHUNK)
        ids = [row.ids for row in tokenizer.encode(corpus.texts[chunk])]
        lengths = np.array(list(map(len, ids)), dtype=np.int32)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        columns = [
            pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(ids))),
            _lists(corpus.targets[chunk]), _lists(corpus.known[chunk]), pa.array(lengths),
        ]  # fmt: skip
        yield pa.record_batch(columns, schema=schema)


def _lists(array: NDArray[Any]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])


def _write(corpus: Corpus, tokenizer: TextTokenizer, path: Path) -> None:
    with (
        replacing_file(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_stream(sink, _schema(corpus)) as writer,
    ):
        for batch in _batches(corpus, tokenizer):
            writer.write_batch(batch)
