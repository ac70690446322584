"""What stands between the labels of one cell, and whether anything does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence, Set
from typing import NamedTuple

from shared.errors import DataFormatError
from training.data.sources.cells import NUMBER
from training.data.sources.vocabulary import EMOTIONS

LISTING = (",", ";", "|", "\n", "\t")
"""Marks that separate by convention."""
DOUBTFUL = ("/", "+", "&", "#", " ")
"""Marks that stand within a name as well: cut where the parts are labels, asked about where some are."""
NO_DELIMITER = "none"
_NAMES = {" ": "a space", "\n": "a line break", "\t": "a tab"}
_AROUND_MARK = re.compile(r"\s*([,;|])\s*")
_NUMBERS = re.compile(rf"{NUMBER.pattern}(?:\s+{NUMBER.pattern})+")


class Delimiter(NamedTuple):
    """The mark between labels, None where a cell is one label, and what should be logged about it."""

    mark: str | None
    notes: list[str]


def find_delimiter(texts: Sequence[str], where: str, given: str | None, names: Sequence[str] | None) -> Delimiter:
    """Find the mark that separates labels within a cell.

    Args:
        texts: the different cells.
        where: file and column, for messages.
        given: what the user says; "none" for nothing.
        names: declared labels.

    Raises:
        DataFormatError: when cells can be read in two ways; shows both.
    """
    if given is not None:
        return Delimiter(None if given == NO_DELIMITER else given, [])
    declared = {name.casefold() for name in names or ()}
    if all(text.casefold() in declared for text in texts):
        return Delimiter(None, [])
    sure = declared | EMOTIONS
    open_texts = [_AROUND_MARK.sub(r"\1", _one_line_break(text)) for text in texts if _folded(text) not in sure]
    present = [mark for mark in LISTING if any(mark in text for text in open_texts)]
    if len(present) > 1:
        marks = " ".join(_NAMES.get(mark, mark) for mark in present)
        raise DataFormatError(
            f"{where}: the labels of a cell may be separated by any of: {marks}.",
            hint=f'Name it with data.delimiter ("{NO_DELIMITER}" when a cell is one label).',
        )
    if present:
        _check_decimal_commas(open_texts, where, present[0])
        _check_other_marks(open_texts, where, present[0], sure)
        return Delimiter(present[0], [])
    if any(_NUMBERS.fullmatch(text) for text in open_texts):
        return Delimiter(" ", [])
    return _doubtful(open_texts, where, sure)


def _check_decimal_commas(texts: Sequence[str], where: str, mark: str) -> None:
    """Refuse numbers such as 2,5 that would fall apart into ids."""
    parts = [text.split(",") for text in texts]
    if mark != "," or not all(re.fullmatch(r"\d+,\d+", text) or re.fullmatch(r"\d+", text) for text in texts):
        return
    pairs = [part for part in parts if len(part) == 2]
    fractions = any(re.fullmatch(r"0\d+", second) for _, second in pairs)
    only_bits = all(set(part) <= {"0", "1"} for part in parts)
    if fractions or (len(pairs) == len(parts) and not only_bits and len(parts) > 1):
        raise DataFormatError(
            f"{where} holds {texts[0]}: a number with a decimal comma, or two ids?",
            hint='Say data.delimiter "," for ids; a score is no class, and regression is not offered.',
        )


def _doubtful(texts: Sequence[str], where: str, sure: Set[str]) -> Delimiter:
    """Cut at a mark where the parts are labels that stand alone elsewhere, or are known ones (`sure`)."""
    alone = sure | {text.casefold() for text in texts}
    for mark in DOUBTFUL:
        cut = {text: _pieces(text, mark) for text in texts if len(_pieces(text, mark)) > 1}
        if not cut:
            continue
        pieces = [piece.casefold() for parts in cut.values() for piece in parts]
        certain = [text for text, parts in cut.items() if all(piece.casefold() in alone for piece in parts)]
        if len(certain) == len(cut):
            _check_other_marks(texts, where, mark, sure)
            example = next(iter(cut))
            note = f"'{example}' is read as {' and '.join(cut[example])}: {shown(mark)} separates labels"
            return Delimiter(mark, [note])
        recurs = max(Counter(pieces).values()) > 1
        if certain or recurs or mark != " " or any(piece in alone for piece in pieces):
            example = (certain or list(cut))[0]
            raise DataFormatError(
                f"{where}: '{example}' may be one label, or {' and '.join(cut[example])}.",
                hint=f'Say data.delimiter "{mark}" to cut it, or data.delimiter {NO_DELIMITER} to keep it whole.',
            )
    return Delimiter(None, [])


def _check_other_marks(texts: Sequence[str], where: str, mark: str, sure: Set[str]) -> None:
    """Refuse what another mark, too, cuts into labels that stand alone elsewhere, or are known ones (`sure`)."""
    pieces = {piece.casefold(): piece for text in texts for piece in _pieces(text, mark)}
    for folded, piece in pieces.items():
        for other in DOUBTFUL:
            parts = _pieces(piece, other) if other not in (mark, " ") else []
            if folded not in sure and len(parts) > 1 and all(part.casefold() in pieces.keys() | sure for part in parts):
                raise DataFormatError(
                    f"{where}: {shown(mark)} separates labels, and '{piece}' may be {' and '.join(parts)}.",
                    hint="Write all cells with one mark, or name it with data.delimiter.",
                )


def _pieces(text: str, mark: str) -> list[str]:
    if mark == "#" and text.startswith("#"):  # hashtags
        return [text]
    return [piece.strip() for piece in text.split(mark) if piece.strip()]


def shown(mark: str) -> str:
    """A mark as messages name it."""
    return _NAMES.get(mark, f"'{mark}'")


def _one_line_break(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def split_text(cell: str, mark: str | None, names: Sequence[str] | None) -> list[str]:
    """The labels of one cell, without blanks and quotes around them; a label that is declared or known is never cut."""
    folded = _folded(cell)
    if mark is None or folded in EMOTIONS or folded in (name.casefold() for name in names or ()):
        return [" ".join(cell.split())]
    pieces = [" ".join(piece.split()) for piece in _one_line_break(cell).split(mark)]
    return [piece.strip("'\"").strip() for piece in pieces if piece.strip("'\" ")]
