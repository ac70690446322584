"""Whether a changed text still says what its labels say."""

from __future__ import annotations

import re
from collections import Counter

from shared.text import normalise
from training.data.augment.resources import read_resources

_NEGATION = re.compile(
    r"\b(?:not|never|no|nope|nobody|nothing|none|nowhere|neither|nor|without|hardly|barely|cannot|"
    r"(?:do|does|did|is|are|was|were|ca|wo|have|has|had|would|could|should|ai)n['’]?t)\b",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[a-z]+(?:['’][a-z]+)?|[^\w\s]", re.IGNORECASE)
_MARKS = re.compile(r"[?!]|\[[A-Z]+\]|[^\x00-\x7f‘’“”–—…]")
"""What carries feeling without words: question and exclamation marks, emoji; and placeholders such as [NAME]."""
LONGER_WORDS = 10
"""Words that a text may gain."""


def rejection_reason(original: str, changed: str) -> str | None:
    """The reason why `changed` cannot take over the labels of `original`; None when it can.

    Kept must be: words that tell an emotion (by the labels they tell), negations, question and exclamation marks,
    emoji and placeholders, and about the length.
    """
    if normalise(original).casefold() == normalise(changed).casefold():
        return "nothing changed"
    if _cues(original) != _cues(changed):
        return "words that tell an emotion differ"
    if len(_NEGATION.findall(original)) != len(_NEGATION.findall(changed)):
        return "negations differ"
    if Counter(_MARKS.findall(original)) != Counter(_MARKS.findall(changed)):
        return "marks, emoji or placeholders differ"
    before, after = len(original.split()), len(changed.split())
    if not before / 2 <= after <= before + LONGER_WORDS:
        return "too short or too long"
    return None


def _cues(text: str) -> Counter[frozenset[str]]:
    """How often each set of labels is shown by a word of the text."""
    cues = read_resources().cues
    return Counter(cues[token] for token in _TOKEN.findall(text.lower()) if token in cues)
