"""Text before it becomes tokens, and tokens before they become rows: normalisation and head+tail truncation."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, get_args

Normalisation = Literal["plain", "emoji_names"]
"""plain: Unicode NFC, usable characters, single spaces; emoji_names: and every emoji is its English name in words."""

NORMALISATIONS: tuple[Normalisation, ...] = get_args(Normalisation)

MOST_MARKS = 30
"""Combining marks kept in a row."""

_UNUSABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_WHITESPACE = re.compile(r"\s+")
_VISIBLE = re.compile(r"[^\s\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_SKIN_TONE = re.compile(r"_(?:medium-)?(?:light|medium|dark)_skin_tone")

_KEYCAP, _FLAG = "[0-9#*]\ufe0f?\u20e3", "[\U0001f1e6-\U0001f1ff]{2}"
_JOINED = 15
"""Most emoji joined to the first of a sequence; those with names have 3 at most, and naming is quadratic in them."""
_MODIFIERS = "(?:[\U0001f3fb-\U0001f3ff]|\ufe0f|[\U000e0020-\U000e007e]+\U000e007f)?"


def normalise(text: str, form: Normalisation = "plain") -> str:
    """Unicode NFC, control characters and lone surrogates as spaces, whitespace collapsed and stripped.

    Of more than 30 combining marks in a row the first 30 stay, as in Unicode's stream-safe form
    (https://www.unicode.org/reports/tr15/#Stream_Safe_Text_Format): the time to order them grows with their square.
    With `form` "emoji_names" an emoji becomes its standard English name between spaces, without skin tone; one that is
    repeated in a row is named once.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", _mark_runs().sub(r"\1", text))
    text = _UNUSABLE.sub(" ", text)
    if form == "emoji_names" and has_emoji(text):
        text = _emoji_runs().sub(_names, text)
    return _WHITESPACE.sub(" ", text).strip()


def is_blank(text: str) -> bool:
    """Whether nothing is left of a text when it is normalised."""
    return _VISIBLE.search(text) is None


@functools.cache
def _mark_runs() -> re.Pattern[str]:
    """More than `MOST_MARKS` combining marks in a row, the first of them as group 1."""
    marks = "".join(character for character in map(chr, range(0x300, 0x20000)) if unicodedata.combining(character))
    return re.compile(f"([{marks}]{{{MOST_MARKS}}})[{marks}]+")


def has_emoji(text: str) -> bool:
    """Whether a character that emoji begin with, or the one that makes a keycap of a digit, is in the text."""
    return not text.isascii() and ("\u20e3" in text or not _emoji_characters().isdisjoint(text))


def _names(run: re.Match[str]) -> str:
    return f" {_name(run[1])} "


@functools.lru_cache(maxsize=4096)
def _name(sequence: str) -> str:
    """The CLDR short name in words; of a sequence that has none, the names of its parts; as it is if they have none."""
    import emoji  # noqa: PLC0415  (50 ms, and most texts have none)

    named = emoji.demojize(sequence, delimiters=(" ", " "))
    return named if named == sequence else _SKIN_TONE.sub("", named).replace("_", " ").replace("\u200d", " ").strip()


@functools.cache
def _emoji_characters() -> frozenset[str]:
    """First characters of all emoji but the keycaps."""
    import emoji  # noqa: PLC0415

    return frozenset({sequence[0] for sequence in emoji.EMOJI_DATA} - set("0123456789#*"))


@functools.cache
def _emoji_runs() -> re.Pattern[str]:
    """One emoji, once or more in a row; the grammar of https://www.unicode.org/reports/tr51/#EBNF_and_Regex."""
    element = f"[{''.join(sorted(_emoji_characters()))}]{_MODIFIERS}"
    return re.compile(f"({_FLAG}|{_KEYCAP}|{element}(?:\u200d{element}){{0,{_JOINED}}})(?:\\s*\\1)*")


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


def windows(ids: Sequence[int], size: int) -> list[Sequence[int]]:
    """Parts of `ids` that cover all of it: none longer than `size`, each overlapping the next by a quarter at least.

    Args:
        ids: token ids without special tokens.
        size: most tokens of a window.
    """
    if len(ids) <= size:
        return [ids]
    last, stride = len(ids) - size, max(1, size - size // 4)
    count = -(-last // stride)
    return [ids[start : start + size] for start in (round(number * last / count) for number in range(count + 1))]
