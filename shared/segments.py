"""Where a text is cut into the pieces that are read one by one: sentences, paragraphs, or pieces the caller names.

Offsets count Unicode code points of the text as it was given; `text[start:end]` is exactly what is read.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Literal

from shared.errors import InvalidInputError
from shared.text import normalise

Offsets = tuple[int, int]
Segmentation = Literal["sentence", "paragraph"] | Sequence[Offsets]

LANGUAGE = "en"

_NEWLINE = r"(?:\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029])"
_BLANK_LINES = re.compile(rf"{_NEWLINE}(?:[^\S\n\r]*{_NEWLINE})+")
_LINE_END = re.compile(_NEWLINE)
_UNREADABLE = re.compile(r"[^\S ]|[\x00-\x1f\x7f\ud800-\udfff]")
"""Space of another kind, at which sentencex 1.0 panics, control characters, and surrogates, which are not UTF-8."""

WRAPPED_LINE = range(55, 81)
"""A line so long that ends in no full stop goes on in the next one, where that begins with a small letter."""

_SENTENCE_END = re.compile(r"[.!?…:;]['\"’”)\]]*\s*$")
# Below, a run has one way to match, and what is in it is not tried again: the time is linear in the text's length.
_EMOJI = "[\u2600-\u27bf\u2b50\u2b55\U0001f300-\U0001faff][\ufe0f\u200d]*+"
_MISSED = re.compile(
    # words that the splitter takes for abbreviations before "I", as in "He called me. I cried."
    r"\b(?:me|no|ok|art|ill|fed|miss)[.] ++(?=[Ii]\b)"
    # and emoji that end a sentence
    rf"|{_EMOJI} ++(?=[A-Z])"
)
_BELONGS_BEFORE = re.compile(rf"(?:\s*+(?:{_EMOJI}|[:;=]-?[)(DPp/|]|<3)++(?=\s|$))++")
"""Emoji and emoticons at the beginning of a piece: they close the sentence before it."""


def split(text: str, how: Segmentation, language: str = LANGUAGE) -> list[Offsets]:
    """Offsets `(start, end)` of the pieces of `text`, in order; none is blank, and none begins or ends with a space.

    Sentences are found by sentencex (Wikimedia, https://github.com/wikimedia/sentencex), line by line: a line break
    ends a sentence, except in text that was wrapped.

    Args:
        text: the text as it was given.
        how: "sentence", "paragraph" (blank lines lie between), or offsets, which are checked and taken as they are.
        language: code of the text's, for its abbreviations and ends of sentences; one that sentencex does not know is
            split as English. A script that marks no end of a sentence, as Thai, is split at line breaks alone.

    Raises:
        InvalidInputError: for no offsets, or offsets outside the text, out of order, overlapping, or around nothing
            visible.
    """
    if how == "paragraph":
        pieces = _between(text, _BLANK_LINES)
    elif how == "sentence":
        pieces = (sentence for line in _lines(text) for sentence in _sentences(text, *line, language))
    else:
        return _checked(text, how)
    return [found for piece in pieces if (found := _stripped(text, *piece)) is not None]


def _checked(text: str, offsets: Sequence[Offsets]) -> list[Offsets]:
    if not offsets:
        raise InvalidInputError("segments is an empty list; allowed: one [start, end] or more, sentence or paragraph.")
    last = 0
    found: list[Offsets] = []
    for number, (start, end) in enumerate(offsets):
        if not 0 <= start < end <= len(text):
            raise InvalidInputError(
                f"segments[{number}] is [{start}, {end}]; allowed: 0 <= start < end <= {len(text)}, the text's length."
            )
        if start < last:
            raise InvalidInputError(f"segments[{number}] begins at {start}, before the end of the one before ({last}).")
        if not normalise(text[start:end]):
            raise InvalidInputError(f"segments[{number}] is [{start}, {end}], which holds no visible character.")
        last = end
        found.append((start, end))
    return found


def _between(text: str, separator: re.Pattern[str]) -> Iterator[Offsets]:
    start = 0
    for match in separator.finditer(text):
        yield start, match.start()
        start = match.end()
    yield start, len(text)


def _lines(text: str) -> Iterator[Offsets]:
    """Lines, those of wrapped text joined."""
    begun: int | None = None
    lines = list(_between(text, _LINE_END))
    for (start, end), following in zip(lines, [*lines[1:], (len(text), len(text))], strict=True):
        begun = start if begun is None else begun
        goes_on = (
            end - start in WRAPPED_LINE
            and text[following[0] : following[0] + 1].islower()
            and not _SENTENCE_END.search(text, start, end)
        )
        if not goes_on:
            yield begun, end
            begun = None


def _sentences(text: str, start: int, end: int, language: str) -> Iterator[Offsets]:
    """The sentences of one line."""
    from sentencex import get_sentence_boundaries  # noqa: PLC0415  (who reads whole texts needs no splitter)

    line = _UNREADABLE.sub(" ", text[start:end])
    if not line.strip():
        return
    cuts = {int(found["start_index"]) for found in get_sentence_boundaries(language, line)}
    cuts.update(match.end() for match in _MISSED.finditer(line))
    cuts = {match.end() if (match := _BELONGS_BEFORE.match(line, cut)) and cut else cut for cut in cuts}
    letters = [place for place, character in enumerate(line) if character.isalpha()]
    begun = read = 0  # the place, and the letters before it
    for place in [*sorted(cut for cut in cuts if 0 < cut < len(line)), len(line)]:
        before = bisect_left(letters, place)
        last = before == len(letters)
        if last or before > read:  # a number of a list goes with what follows
            yield start + begun, start + (len(line) if last else place)
            begun, read = place, before
        if last:
            return


def _stripped(text: str, start: int, end: int) -> Offsets | None:
    """The offsets without what is not visible at either end; None where nothing is visible."""
    while start < end and not normalise(text[start]):
        start += 1
    while start < end and not normalise(text[end - 1]):
        end -= 1
    return (start, end) if start < end else None
