"""The same text with another person in it: gendered words, names, religions and nationalities swapped.

Counterfactual data augmentation (Lu et al., Gender Bias in Neural Natural Language Processing, 2018): labels stay, so
that a model learns that they do not depend on the person.
"""

from __future__ import annotations

import re

import numpy as np

from training.data.augment.synonyms import match_case

_PAIRS = (
    ("he", "she"), ("himself", "herself"), ("man", "woman"), ("men", "women"), ("boy", "girl"), ("boys", "girls"),
    ("father", "mother"), ("dad", "mom"), ("son", "daughter"), ("brother", "sister"), ("uncle", "aunt"),
    ("husband", "wife"), ("boyfriend", "girlfriend"), ("grandfather", "grandmother"), ("guy", "gal"),
    ("king", "queen"), ("mr", "ms"), ("male", "female"), ("gentleman", "lady"),
)  # fmt: skip
_SETS = (
    ("emily", "aisha", "mei", "lakisha", "sofia", "priya"), ("jacob", "omar", "wei", "darnell", "mateo", "rahul"),
    ("christian", "muslim", "jewish", "hindu", "buddhist"), ("christians", "muslims", "jews", "hindus", "buddhists"),
    ("german", "mexican", "nigerian", "chinese", "russian", "turkish", "polish"),
)  # fmt: skip
"""Words of which one may stand for another; within a set each takes the same article."""

_SWAPS: dict[str, tuple[str, ...]] = {
    **{one: (two,) for pair in _PAIRS for one, two in (pair, pair[::-1])},
    **{word: tuple(other for other in words if other != word) for words in _SETS for word in words},
    "his": ("her",), "him": ("her",), "hers": ("his",),
}  # fmt: skip
_WORD = re.compile(r"\b(?:" + "|".join([*_SWAPS, "her"]) + r")\b", re.IGNORECASE)
_OF_HER = re.compile(r"\s+[A-Za-z]")


def swap_person(text: str, random: np.random.Generator) -> str | None:
    """The text with every such word swapped; None when it has none.

    "her" becomes "his" before a word and "him" elsewhere, which is right more often than not.

    Args:
        text: the original.
        random: chooses among several.
    """

    def swapped(match: re.Match[str]) -> str:
        word = match[0].lower()
        if word == "her":
            other = "his" if _OF_HER.match(text, match.end()) else "him"
        else:
            other = _SWAPS[word][int(random.integers(len(_SWAPS[word])))]
        return match_case(match[0], other)

    changed = _WORD.sub(swapped, text)
    return changed if changed != text else None
