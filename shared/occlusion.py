"""The words of a text, one of which is taken out at a time to see what a model makes of the text without it."""

from __future__ import annotations

import functools
import re
import unicodedata

from shared.context import context_of, with_context

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters: scripts without spaces between words."""

MOST_WORDS_READ = 8192
"""Words read for the reasons of one segment; a longer one is taken apart in runs of words, so that it needs no more."""


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


def without(text: str, *gone: tuple[int, int]) -> str:
    """`text` with nothing where these offsets `(start, end)` are, which do not overlap; the turns before it stay."""
    kept, at = [], 0
    for start, end in sorted(gone):
        kept.append(text[at:start])
        at = end
    return with_context("".join([*kept, text[at:]]), context_of(text))
