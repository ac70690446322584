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

from shared.context import ContextFormat, context_of
from shared.errors import BundleFormatError, ConfigError
from shared.special_tokens import ids_as_words, special_ids
from shared.text import Normalisation, default_head_tokens, head_tail, normalise, windows

PAD_NAMES = ("[PAD]", "<pad>", "<|pad|>")


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text, or a window of it, as token ids, shape (T,), special tokens included.

    Attributes:
        ids: what the model reads, with the previous turns behind the text where it has any.
        num_tokens: of the whole text, special tokens included; previous turns are not counted.
        truncated: whether the middle of the text was left out.
        num_unknown: tokens of the whole text that stand for what the vocabulary lacks.
    """

    ids: NDArray[np.int32]
    num_tokens: int
    truncated: bool
    num_unknown: int = 0


class TextTokenizer:
    """Normalises, tokenises, truncates head+tail and pads; identical in training, export and serving.

    Previous turns, which a text carries as an `Utterance`, are the second segment of its row, put together by the
    tokenizer's own template for pairs, with the template's separator between turns too. They have a budget of their
    own and take only the room that the text leaves: the oldest tokens are cut first, the text only where it alone is
    longer than a row. A text without turns has the same row with a `context` as without.

    Args:
        tokenizer: a `tokenizers.Tokenizer`; truncation and padding stored in it are reset.
        max_length: most tokens of a row, special tokens included.
        head_tokens: tokens kept from the start of a longer text; a quarter of `max_length` when None.
        normalisation: what is done to a text before it is tokenised; see `shared.text`.
        context: how previous turns are read; when None they are left out.
        specials_as_text: whether "[SEP]" and its like in a text are words; in bundles that do not say so each is the
            token that it names, as they were evaluated.

    Raises:
        ConfigError: when `max_length` leaves no room for text, `head_tokens` does not fit in it, or the budget of the
            context is more than half of it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        max_length: int,
        head_tokens: int | None = None,
        normalisation: Normalisation = "emoji_names",
        context: ContextFormat | None = None,
        specials_as_text: bool = True,
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
        self.context = context
        self.specials_as_text = specials_as_text
        self._pair = None if context is None else _pair_template(tokenizer, self._prefix, self._suffix)
        if context is not None and self._pair is not None:
            least = self._pair.cost + 1
            if not least <= context.length <= self.budget // 2:
                raise ConfigError(
                    f"a context of {context.length} tokens is not possible in rows of {max_length}: {least} to "
                    f"{self.budget // 2} are."
                )

    @classmethod
    def from_file(
        cls,
        path: Path,
        *,
        max_length: int,
        head_tokens: int | None = None,
        normalisation: Normalisation = "emoji_names",
        context: ContextFormat | None = None,
        specials_as_text: bool = True,
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
        return cls(
            tokenizer, max_length=max_length, head_tokens=head_tokens, normalisation=normalisation, context=context,
            specials_as_text=specials_as_text,
        )  # fmt: skip

    @property
    def vocab_size(self) -> int:
        """Number of token ids, added tokens included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    @property
    def special_ids(self) -> tuple[int, ...]:
        """Ids that stand around every text."""
        return (*self._prefix, *self._suffix)

    @property
    def segment_separator(self) -> int | None:
        """Id of the token after which a row is of token type 1; None where the template has no such type."""
        return None if self._pair is None else self._pair.separator

    @cached_property
    def unknown_id(self) -> int | None:
        """Id of the token for what the vocabulary lacks; None where nothing is unknown to it (bytes)."""
        model = json.loads(self._tokenizer.to_str())["model"]
        if model.get("byte_fallback"):
            return None
        if model["type"] == "Unigram":
            return None if model["unk_id"] is None else int(model["unk_id"])
        return None if model.get("unk_token") is None else self._tokenizer.token_to_id(model["unk_token"])

    @cached_property
    def _never_in_texts(self) -> frozenset[int]:
        """Ids that no text may have."""
        if not self.specials_as_text:
            return frozenset()
        between = () if self._pair is None else (*self._pair.middle, *self._pair.end)
        return special_ids(self._tokenizer, (*self.special_ids, *between, self.pad_id), self.unknown_id)

    @property
    def fingerprint(self) -> str:
        """sha256 over the tokenizer and the truncation: equal fingerprints give equal rows."""
        described = f"{self._tokenizer.to_str()}|{self.max_length}|{self.head_tokens}|{self.normalisation}"
        if self.specials_as_text:
            described += "|specials as text"
        if self.context is not None:
            described += f"|{json.dumps(self.context.to_json(), sort_keys=True)}"
        return hashlib.sha256(described.encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Token ids of every text, normalised and truncated head+tail."""
        return [
            self._row(ids, head_tail(ids, self.budget, self.head_tokens), turns, truncated=len(ids) > self.budget)
            for ids, turns in zip(self._token_ids(texts), self._turns(texts), strict=True)
        ]

    def encode_whole(self, texts: Sequence[str]) -> list[list[Encoded]]:
        """Token ids of every text, normalised; those of a longer text in overlapping windows, so that all is read.

        Windows leave room for the previous turns, which stand behind each of them.
        """
        return [
            [self._row(ids, part, turns) for part in windows(ids, self._window(ids, turns))]
            for ids, turns in zip(self._token_ids(texts), self._turns(texts), strict=True)
        ]

    def _token_ids(self, texts: Sequence[str]) -> list[Sequence[int]]:
        usable = [normalise(text, self.normalisation) for text in texts]
        encodings, never = self._tokenizer.encode_batch_fast(usable, add_special_tokens=False), self._never_in_texts
        found = [encoding.ids for encoding in encodings]
        return [
            ids if never.isdisjoint(ids) else ids_as_words(self._tokenizer, text, never)
            for text, ids in zip(usable, found, strict=True)
        ]

    def _turns(self, texts: Sequence[str]) -> list[list[Sequence[int]]]:
        """Token ids of the turns of every text, the oldest first; none where they are not read.

        Equal turns are tokenised once: all segments of a text, and the texts of a dialogue, have them in common.
        """
        if self.context is None:
            return [[] for _ in texts]
        contexts = [context_of(text) for text in texts]
        said = {context: self.context.said(context) for context in contexts}
        distinct = list(dict.fromkeys(turn for turns in said.values() for turn in turns))
        ids = dict(zip(distinct, self._token_ids(distinct), strict=True))
        found = {context: [ids[turn] for turn in turns if ids[turn]] for context, turns in said.items()}
        return [found[context] for context in contexts]

    def _second(self, turns: Sequence[Sequence[int]], room: int) -> list[int]:
        """The second segment with its separators, in place of the suffix: the last tokens of the turns that fit."""
        assert self.context is not None
        assert self._pair is not None
        left = min(self.context.length, room) - self._pair.cost
        parts: list[list[int]] = []
        for turn in reversed(turns):
            between = self._pair.middle if parts else []
            kept = list(turn[max(0, len(turn) - left + len(between)) :]) if left > len(between) else []
            if kept:
                parts.append([*kept, *between])
                left -= len(parts[-1])
            if len(kept) < len(turn):
                break
        if not parts:
            return self._suffix
        return [*self._pair.middle, *(token for part in reversed(parts) for token in part), *self._pair.end]

    def _window(self, ids: Sequence[int], turns: Sequence[Sequence[int]]) -> int:
        """Most tokens of a window of a text."""
        if not turns or len(ids) <= self.budget:
            return self.budget
        return self.budget - len(self._second(turns, self.budget)) + len(self._suffix)

    def _row(
        self, ids: Sequence[int], kept: Sequence[int], turns: Sequence[Sequence[int]], *, truncated: bool = False
    ) -> Encoded:
        after = self._second(turns, self.budget - len(kept)) if turns else self._suffix
        row = np.array([*self._prefix, *kept, *after], dtype=np.int32)
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


@dataclass(frozen=True)
class _PairTemplate:
    """What a tokenizer's post-processor puts between two segments and after the second.

    Attributes:
        middle: ids between the segments.
        end: ids after the second.
        cost: tokens of both beyond those after a text alone.
        separator: the id between them where all behind it is of token type 1, else None.
    """

    middle: list[int]
    end: list[int]
    cost: int
    separator: int | None


def _pair_template(tokenizer: Tokenizer, prefix: list[int], suffix: list[int]) -> _PairTemplate:
    """The template for pairs, read from what the post-processor makes of one.

    Raises:
        ConfigError: when it separates nothing, or changes the segments themselves.
    """
    first, second = (tokenizer.encode(word, add_special_tokens=False).ids for word in ("a", "b"))
    full = tokenizer.encode("a", "b", add_special_tokens=True)
    head = [*prefix, *first]
    for start in range(len(head) + 1, len(full.ids) - len(second) + 1):
        if full.ids[: len(head)] == head and full.ids[start : start + len(second)] == second:
            middle, end = full.ids[len(head) : start], full.ids[start + len(second) :]
            types = [0] * (len(head) + 1) + [1] * (len(full.ids) - len(head) - 1)
            separator = middle[0] if len(middle) == 1 and full.type_ids == types else None
            return _PairTemplate(middle, end, len(middle) + len(end) - len(suffix), separator)
    raise ConfigError(
        "the tokenizer puts no separator between two segments, so that previous turns cannot be told from the text.",
        hint="Choose an encoder whose tokenizer has a template for pairs, or leave context out.",
    )


def _pad_id(tokenizer: Tokenizer) -> int:
    for name in PAD_NAMES:
        found = tokenizer.token_to_id(name)
        if found is not None:
            return int(found)
    raise BundleFormatError(f"the tokenizer has no padding token; one of {', '.join(PAD_NAMES)} is needed.")
