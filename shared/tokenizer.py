"""From texts to padded arrays with the `tokenizers` library: the one preprocessing of training and serving."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from shared.errors import BundleFormatError, ConfigError
from shared.text import Normalisation, default_head_tokens, head_tail, normalise, windows

PAD_NAMES = ("[PAD]", "<pad>", "<|pad|>")


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text, or a window of it, as token ids, shape (T,), special tokens included.

    Attributes:
        ids: what the model reads.
        num_tokens: of the whole text, special tokens included.
        truncated: whether the middle of the text was left out.
        num_unknown: tokens of the whole text that stand for what the vocabulary lacks.
    """

    ids: NDArray[np.int32]
    num_tokens: int
    truncated: bool
    num_unknown: int = 0


class TextTokenizer:
    """Normalises, tokenises, truncates head+tail and pads; identical in training, export and serving.

    Args:
        tokenizer: a `tokenizers.Tokenizer`; truncation and padding stored in it are reset.
        max_length: most tokens of a row, special tokens included.
        head_tokens: tokens kept from the start of a longer text; a quarter of `max_length` when None.
        normalisation: what is done to a text before it is tokenised; see `shared.text`.

    Raises:
        ConfigError: when `max_length` leaves no room for text or `head_tokens` does not fit in it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        max_length: int,
        head_tokens: int | None = None,
        normalisation: Normalisation = "emoji_names",
    ) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._prefix, self._suffix = _special_ids(tokenizer)
        self.max_length = max_length
        self.budget = max_length - len(self._prefix) - len(self._suffix)
        self.head_tokens = default_head_tokens(max_length) if head_tokens is None else head_tokens
        if self.budget < 1 or not 0 <= self.head_tokens <= self.budget:
            raise ConfigError(
                f"max_length {max_length} with head_tokens {self.head_tokens} is not possible: "
                f"{max_length - self.budget} special tokens are needed, head_tokens must be 0 to {max(self.budget, 0)}."
            )
        self.normalisation = normalisation
        if normalisation == "emoji_names":
            normalise("\U0001f642", normalisation)  # reads the names now and not with the first text
        self.pad_id = _pad_id(tokenizer)

    @classmethod
    def from_file(
        cls,
        path: Path,
        *,
        max_length: int,
        head_tokens: int | None = None,
        normalisation: Normalisation = "emoji_names",
    ) -> TextTokenizer:
        """Read a `tokenizer.json`.

        Raises:
            BundleFormatError: when the file is missing or not a tokenizer.
        """
        if not path.is_file():
            raise BundleFormatError(f"no tokenizer at {path}.")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise BundleFormatError(f"{path} is not a readable tokenizer.json: {error}.") from error
        return cls(tokenizer, max_length=max_length, head_tokens=head_tokens, normalisation=normalisation)

    @property
    def vocab_size(self) -> int:
        """Number of token ids, added tokens included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    @property
    def special_ids(self) -> tuple[int, ...]:
        """Ids that stand around every text."""
        return (*self._prefix, *self._suffix)

    @cached_property
    def unknown_id(self) -> int | None:
        """Id of the token for what the vocabulary lacks; None where nothing is unknown to it (bytes)."""
        model = json.loads(self._tokenizer.to_str())["model"]
        if model.get("byte_fallback"):
            return None
        if model["type"] == "Unigram":
            return None if model["unk_id"] is None else int(model["unk_id"])
        return None if model.get("unk_token") is None else self._tokenizer.token_to_id(model["unk_token"])

    @property
    def fingerprint(self) -> str:
        """sha256 over the tokenizer and the truncation: equal fingerprints give equal rows."""
        described = f"{self._tokenizer.to_str()}|{self.max_length}|{self.head_tokens}|{self.normalisation}"
        return hashlib.sha256(described.encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Token ids of every text, normalised and truncated head+tail."""
        return [
            self._row(ids, head_tail(ids, self.budget, self.head_tokens), truncated=len(ids) > self.budget)
            for ids in self._token_ids(texts)
        ]

    def encode_whole(self, texts: Sequence[str]) -> list[list[Encoded]]:
        """Token ids of every text, normalised; those of a longer text in overlapping windows, so that all is read."""
        return [[self._row(ids, part) for part in windows(ids, self.budget)] for ids in self._token_ids(texts)]

    def _token_ids(self, texts: Sequence[str]) -> list[Sequence[int]]:
        usable = [normalise(text, self.normalisation) for text in texts]
        encodings = self._tokenizer.encode_batch_fast(usable, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def _row(self, ids: Sequence[int], kept: Sequence[int], *, truncated: bool = False) -> Encoded:
        row = np.array([*self._prefix, *kept, *self._suffix], dtype=np.int32)
        num_unknown = 0 if self.unknown_id is None else ids.count(self.unknown_id)
        return Encoded(row, len(ids) + self.max_length - self.budget, truncated, num_unknown)

    def pad(
        self, rows: Sequence[Encoded | NDArray[np.integer]], length: int | None = None
    ) -> dict[str, NDArray[np.int64]]:
        """Rows as `input_ids` and `attention_mask`, int64 of shape (N, T), T the longest row or `length`."""
        ids = [row.ids if isinstance(row, Encoded) else row for row in rows]
        width = max((len(row) for row in ids), default=0) if length is None else length
        input_ids = np.full((len(ids), width), self.pad_id, dtype=np.int64)
        mask = np.zeros((len(ids), width), dtype=np.int64)
        for position, row in enumerate(ids):
            input_ids[position, : len(row)] = row
            mask[position, : len(row)] = 1
        return {"input_ids": input_ids, "attention_mask": mask}


def _special_ids(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Ids the post-processor puts before and after a text."""
    bare = tokenizer.encode("a", add_special_tokens=False).ids
    full = tokenizer.encode("a", add_special_tokens=True).ids
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return full[:start], full[start + len(bare) :]
    raise BundleFormatError("the tokenizer's post-processor changes the text's own tokens; it cannot be used.")


def _pad_id(tokenizer: Tokenizer) -> int:
    for name in PAD_NAMES:
        found = tokenizer.token_to_id(name)
        if found is not None:
            return int(found)
    raise BundleFormatError(f"the tokenizer has no padding token; one of {', '.join(PAD_NAMES)} is needed.")
