"""Paraphrase templates: phrases said another way."""

from __future__ import annotations

import re

import numpy as np

from training.data.augment.resources import Template, read_resources

MOST = 2
"""Phrases changed in one text."""


def paraphrase(text: str, random: np.random.Generator) -> str | None:
    """The text with one phrase or two said another way; None when no template fits."""
    fitting = [template for template in read_resources().templates if template.pattern.search(text)]
    if not fitting:
        return None
    typographic = "’" in text and "'" not in text
    wanted, changed, done = int(random.integers(1, MOST + 1)), text, 0
    for index in random.permutation(len(fitting)):
        again = _apply(fitting[index], changed, typographic)
        if again not in (text, changed):
            changed, done = again, done + 1
        if done == wanted:
            break
    return changed if done else None


def _apply(template: Template, text: str, typographic: bool) -> str:
    """The first place that fits, in the case of the text and with its kind of apostrophe."""

    def replaced(match: re.Match[str]) -> str:
        phrase = match.expand(template.replacement)
        if match[0] == match[0].lower():
            phrase = phrase.lower()
        elif len(match[0]) > 3 and match[0] == match[0].upper():
            phrase = phrase.upper()
        elif match[0][0].isupper():
            phrase = phrase[0].upper() + phrase[1:]
        return phrase.replace("'", "’") if typographic else phrase

    return template.pattern.sub(replaced, text, count=1)
