"""Reasons by occlusion: what a label's log-odds lose when a word is taken out (Zeiler & Fergus 2014, Li et al. 2016).

Evidence about the model, not about the person who wrote the text: it says what this network reacted to.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.http.response_schemas import DIGITS
from serving.http.responses import DecisionRules, grouped
from shared.bundle import Bundle
from shared.thresholds import decide

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters: scripts without spaces between words."""

MOST_WORDS_READ = 8192
"""Words read for the reasons of one segment; a longer one is taken apart in runs of words, so that it needs no more."""

SMALLEST = 1e-7
"""Probabilities are kept so far from 0 and 1 before they become log-odds."""


@functools.cache
def _words() -> re.Pattern[str]:
    """A character of a script without spaces, a word with its apostrophes, or a run of signs: emoji, punctuation.

    Marks (vowel signs, points, accents) and joiners belong to the letter before them, as in Hindi, Thai or Hebrew.
    """
    marks = "".join(c for c in map(chr, range(0x300, 0x20000)) if unicodedata.category(c).startswith("M"))
    joined = f"{marks}\u200c\u200d"
    letter = rf"(?![{_UNSPACED}])[\w{joined}]"
    return re.compile(rf"[{_UNSPACED}][{joined}]*|\w(?:{letter})*(?:['’]\w(?:{letter})*)*|[^\w\s]+")


def parts(text: str) -> list[tuple[int, int]]:
    """Offsets `(start, end)` of what is taken out of `text`, one at a time: words, or runs of words of a long text.

    In scripts without spaces these are characters, as no dictionary says where a word ends.
    """
    words = [match.span() for match in _words().finditer(text)]
    size = max(1, -(-(len(words) ** 2) // MOST_WORDS_READ))
    return [(run[0][0], run[-1][1]) for run in (words[start : start + size] for start in range(0, len(words), size))]


def without(text: str, start: int, end: int) -> str:
    """`text` with nothing where `start` to `end` was."""
    return text[:start] + text[end:]


def log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln(p / (1 - p)), of probabilities that are kept off 0 and 1."""
    p = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(p) - np.log1p(-p))


def reasons(
    text: str,
    whole: NDArray[np.float64],
    occluded: Sequence[NDArray[np.float64]],
    rules: DecisionRules,
    bundle: Bundle,
    *,
    offset: int = 0,
) -> dict[str, list[dict[str, Any]]]:
    """Decided label -> what each part adds to its log-odds, the largest first.

    Args:
        text: the segment.
        whole: its probabilities, shape (L,).
        occluded: those without each of its `parts`, in their order.
        rules: which labels are decided.
        bundle: whose labels they are.
        offset: where the segment begins in the text as it was given.
    """
    names, p, thresholds = grouped(whole, rules, bundle)
    decided = np.flatnonzero(decide(p, thresholds, argmax=rules.argmax))
    before = log_odds(p)
    lost = np.stack([before - log_odds(grouped(without_it, rules, bundle)[1]) for without_it in occluded])
    found = parts(text)
    return {
        names[label]: [
            {
                "start": offset + found[place][0],
                "end": offset + found[place][1],
                "word": text[slice(*found[place])],
                "contribution": round(float(lost[place, label]), DIGITS),
            }
            for place in np.argsort(-lost[:, label], kind="stable").tolist()
        ]
        for label in decided.tolist()
    }
