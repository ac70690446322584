"""The reference rows of a bundle: what the trained model said of an evaluation split, in `reference.npz`."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.context import context_of, read_turns, turns_to_json, with_context
from shared.errors import BundleFormatError

MAX_UNPACKED_BYTES = 512 * 1024 * 1024
"""Largest sum of the arrays' sizes that is unpacked: a small archive may claim any size."""

_ARRAYS = ("row_ids", "labels", "known", "logits", "split")


@dataclass(frozen=True)
class Reference:
    """Evaluation rows kept for verification: what the trained model said of them.

    Attributes:
        row_ids: shape (N,).
        texts: N texts as they were in the corpus, with the turns before them where the model reads those.
        labels: 0/1, shape (N, L).
        known: entries that were annotated, shape (N, L).
        logits: of the trained model, float32, shape (N, L).
        split: the split they come from.
        shares: annotated intensities as shares 0..1 of the scale, shape (N, L); None but for the task intensity.
    """

    row_ids: NDArray[np.str_]
    texts: list[str]
    labels: NDArray[np.uint8]
    known: NDArray[np.bool_]
    logits: NDArray[np.float32]
    split: str
    shares: NDArray[np.float32] | None = None

    def write(self, path: Path) -> None:
        """Write `reference.npz`, readable with numpy alone.

        The texts are one run of UTF-8 bytes, `text_bytes`, and the N places in it where each of them ends, `text_ends`:
        an array of strings would give every text the room of the longest, four bytes a character. Where a text has
        previous turns, `context_bytes` and `context_ends` hold those of every text as a JSON list in the same way.
        """
        text_bytes, text_ends = _joined(self.texts)
        contexts: dict[str, Any] = {}
        if any(context_of(text) for text in self.texts):
            turns = _joined([json.dumps(turns_to_json(context_of(text))) for text in self.texts])
            contexts = dict(zip(("context_bytes", "context_ends"), turns, strict=True))
        shares: dict[str, Any] = {} if self.shares is None else {"shares": self.shares}
        np.savez_compressed(
            path, row_ids=self.row_ids, text_bytes=text_bytes, text_ends=text_ends, labels=self.labels,
            known=self.known, logits=self.logits, split=np.array(self.split), **contexts, **shares,
        )  # fmt: skip

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Read `reference.npz`, also that of schema version 1, whose texts are an array of strings.

        Raises:
            BundleFormatError: when it is unreadable, would unpack to more than `MAX_UNPACKED_BYTES`, or its arrays
                differ in length.
        """
        try:
            check_unpacked_size(path)
            with np.load(path, allow_pickle=False) as data:
                rows: dict[str, Any] = {name: data[name] for name in _ARRAYS}
                shares = np.asarray(data["shares"], dtype=np.float32) if "shares" in data else None
                texts = data["texts"].tolist() if "texts" in data else _split(data["text_bytes"], data["text_ends"])
                if "context_bytes" in data:
                    turns = [read_turns(json.loads(t)) for t in _split(data["context_bytes"], data["context_ends"])]
                    texts = [with_context(text, context) for text, context in zip(texts, turns, strict=True)]
            lengths = {len(texts), *(len(rows[name]) for name in ("row_ids", "labels", "known", "logits"))}
        except BundleFormatError:
            raise
        except Exception as error:  # numpy and zipfile raise several kinds for a broken file
            raise BundleFormatError(f"{path} is not a readable reference: {error}.") from error
        if len(lengths) != 1:
            raise BundleFormatError(f"the arrays in {path} differ in length.")
        if shares is not None and shares.shape != rows["logits"].shape:
            raise BundleFormatError(f"the arrays in {path} differ in shape.")
        return cls(rows["row_ids"], texts, rows["labels"], rows["known"], rows["logits"], str(rows["split"]), shares)


def check_unpacked_size(path: Path) -> None:
    """Refuse an archive of arrays that would take up too much memory.

    Raises:
        BundleFormatError: when it would unpack to more than `MAX_UNPACKED_BYTES`.
    """
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_UNPACKED_BYTES:
        raise BundleFormatError(
            f"{path} unpacks to {size / 2**20:.0f} MiB; allowed: at most {MAX_UNPACKED_BYTES // 2**20} MiB.",
            hint="Train the bundle again: its texts are then stored as bytes, without padding.",
        )


def _joined(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """N texts as bytes, and the N places where they end."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return np.frombuffer(b"".join(encoded), np.uint8), np.cumsum([len(text) for text in encoded], dtype=np.int64)


def _split(text_bytes: NDArray[np.uint8], ends: Sequence[int] | NDArray[np.int64]) -> list[str]:
    """N texts from their bytes and the N places where they end.

    Raises:
        ValueError: when the places do not rise from 0 to the number of bytes.
    """
    places = [0, *(int(end) for end in ends)]
    content = text_bytes.astype(np.uint8, casting="safe").tobytes()
    if places != sorted(places) or places[-1] != len(content):
        raise ValueError("text_ends does not fit text_bytes")
    return [content[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(places)]
