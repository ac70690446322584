"""Texts as tokens, once: an Arrow file shared between epochs and runs, mapped into memory by every worker."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Sequence
from pathlib import Path

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
        return datasets.Dataset(_table(corpus, tokenizer))
    path = cache / f"{_key(corpus, tokenizer)}.arrow"
    if not path.is_file():
        table = _table(corpus, tokenizer)
        try:
            _write(table, path)
        except OSError as error:
            if error.errno not in NOT_WRITABLE:
                raise
            return datasets.Dataset(table)
    return datasets.Dataset.from_file(str(path))


def lengths_of(encoded: datasets.Dataset) -> NDArray[np.int32]:
    """Number of tokens of every row, shape (N,)."""
    return np.asarray(encoded.data.column("length").to_numpy(), dtype=np.int32)


def _key(corpus: Corpus, tokenizer: TextTokenizer) -> str:
    return hashlib.sha256(f"{FORMAT}|{corpus.fingerprint}|{tokenizer.fingerprint}".encode()).hexdigest()[:40]


def _table(corpus: Corpus, tokenizer: TextTokenizer) -> pa.Table:
    num_labels = corpus.targets.shape[1]
    lengths, ids = _tokenise(corpus.texts, tokenizer)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return pa.table(
        {
            "input_ids": pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(ids)),
            "labels": pa.FixedSizeListArray.from_arrays(pa.array(corpus.targets.ravel()), num_labels),
            "known": pa.FixedSizeListArray.from_arrays(pa.array(corpus.known.ravel()), num_labels),
            "length": pa.array(lengths),
        }
    )


def _tokenise(texts: Sequence[str], tokenizer: TextTokenizer) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Tokens per text, shape (N,), and all token ids one after the other."""
    lengths = np.zeros(len(texts), dtype=np.int32)
    ids: list[NDArray[np.int32]] = []
    for start in range(0, len(texts), CHUNK):
        rows = tokenizer.encode(texts[start : start + CHUNK])
        lengths[start : start + len(rows)] = [len(row.ids) for row in rows]
        ids += [np.concatenate([row.ids for row in rows])]  # one array a chunk: an array a row weighs more than its ids
    return lengths, np.concatenate(ids) if ids else np.zeros(0, dtype=np.int32)


def _write(table: pa.Table, path: Path) -> None:
    with (
        replacing_file(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as writer,
    ):
        writer.write_table(table, max_chunksize=CHUNK)
