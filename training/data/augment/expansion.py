"""Context expansion: a sentence without emotion beside the text, so that the rest of a text is no hint."""

from __future__ import annotations

import re

import numpy as np

from training.data.augment.resources import read_resources

_LOWERED = re.compile(
    r"(?:all|and|but|can|good|he|how|if|in|it|it's|its|just|my|no|not|of|she|so|that|that's|the|there|they|this|we|what|"
    r"when|where|who|why|you|your|you're)(?=[\s,.])",
    re.IGNORECASE,
)
"""First words that lose their capital behind a comma; others may be names."""
_CLOSING = ")]\"”'’"


def expand(text: str, random: np.random.Generator) -> str | None:
    """The text with a clause in front or behind; None for an empty text."""
    text = text.strip()
    if not text:
        return None
    resources = read_resources()
    choice = int(random.integers(len(resources.openers) + len(resources.closers)))
    if choice < len(resources.openers):
        opener = resources.openers[choice]
        return f"{opener} {_continued(text) if opener.endswith(',') else text}"
    closer = resources.closers[choice - len(resources.openers)]
    ends_open = text[-1].isalnum() or text[-1] in _CLOSING
    return f"{text}{'.' if ends_open else ''} {closer}"


def _continued(text: str) -> str:
    first = _LOWERED.match(text)
    return text[0].lower() + text[1:] if first and not first[0].isupper() else text
