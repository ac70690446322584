"""Text before it becomes tokens, and tokens before they become rows: normalisation and head+tail truncation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_UNUSABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_WHITESPACE = re.compile(r"\s+")


def normalise(text: str) -> str:
    """Unicode NFC, control characters and lone surrogates as spaces, whitespace collapsed and stripped."""
    return _WHITESPACE.sub(" ", _UNUSABLE.sub(" ", unicodedata.normalize("NFC", text))).strip()


def default_head_tokens(max_length: int) -> int:
    """A quarter of `max_length`: 128 of 512, as in head+tail truncation of Sun et al. 2019 (arXiv:1905.05583)."""
    return max_length // 4


def head_tail(ids: Sequence[int], budget: int, head: int) -> Sequence[int]:
    """The first `head` and the last `budget - head` of `ids` when there are more than `budget`, else all of them.

    Args:
        ids: token ids without special tokens.
        budget: tokens that may stay.
        head: how many of them are taken from the start, 0..budget.
    """
    if len(ids) <= budget:
        return ids
    tail = budget - head
    return [*ids[:head], *ids[len(ids) - tail :]]
