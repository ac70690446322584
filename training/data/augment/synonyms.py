"""Synonym substitution (Zhang et al. 2015, https://arxiv.org/abs/1509.01626, section 2.4), with a list of our own."""

from __future__ import annotations

import math
import re

import numpy as np

from training.data.augment.resources import read_resources

_WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)?")


def substitute(text: str, random: np.random.Generator, share: float) -> str | None:
    """The text with some words replaced; None when none can be.

    Args:
        text: the original.
        random: chooses words and replacements.
        share: of the replaceable words that are replaced, rounded up.
    """
    places = [(match, options) for match in _WORD.finditer(text) if (options := _options(text, match))]
    if not places:
        return None
    count = math.ceil(min(1.0, share) * len(places))
    changed = text
    for index in sorted(random.choice(len(places), size=count, replace=False), reverse=True):
        match, options = places[index]
        word = match_case(match[0], options[random.integers(len(options))])
        changed = changed[: match.start()] + word + changed[match.end() :]
    return changed


def match_case(original: str, replacement: str) -> str:
    """The replacement in capitals, capitalised, or in lower case, as the original is."""
    if len(original) > 1 and original.isupper():
        return replacement.upper()
    if original[:1].isupper():
        return replacement[:1].upper() + replacement[1:]
    return replacement


def _options(text: str, match: re.Match[str]) -> list[str]:
    """Synonyms that fit behind the word in front: after "a" or "an" only those that keep it right."""
    options = list(read_resources().synonyms.get(match[0].lower(), ()))
    if re.search(r"\ban? $", text[: match.start()], re.IGNORECASE):
        options = [option for option in options if _vowel(option) == _vowel(match[0])]
    return options


def _vowel(word: str) -> bool:
    return word[:1].lower() in "aeiou" and not word.lower().startswith(("us", "uni", "eu"))
