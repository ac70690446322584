"""Whether number lists are 0/1 vectors, one place a label, or lists of ids."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared.errors import DataFormatError
from training.data.sources.cells import Listed, Token, as_number

READINGS = "Say which with data.label_form: multi_hot or ids."


def vector_length(cells: Sequence[Listed], where: str, names: Sequence[str] | None, *, said: bool = False) -> int:
    """The length of 0/1 vectors; 0 where the cells are ids or names.

    A list of ids never repeats one, so lists of 0 and 1 of one length with a repeated value are vectors: from three
    places on all of them are.

    Args:
        cells: the different cells, as lists of tokens.
        where: file and column, for messages.
        names: declared labels, where there are any.
        said: whether the user says that they are vectors.

    Raises:
        DataFormatError: when they can be read in both ways, or are vectors of different lengths.
    """
    digits = _digit_strings(cells, where, names, said=said)
    lengths = {len(cell) for cell in cells}
    values = {_plain(token) for cell in cells for token in cell}
    if digits:
        return digits
    if not lengths or (not values <= {0, 1} and not _shares(cells, values)):
        _check_counts(cells, where, names, said=said)
        return max(lengths, default=0) if said else 0
    repeats = any(len(set(map(_plain, cell))) < len(cell) for cell in cells)
    boolean = any(
        isinstance(token, bool) or str(token).lower() in ("true", "false") for cell in cells for token in cell
    )
    if len(lengths) > 1:
        if repeats or said or (boolean and max(lengths) > 1):
            short, long = min(cells, key=len), max(cells, key=len)
            raise DataFormatError(
                f"{where} holds 0/1 vectors of different lengths: {_shown(short)} and {_shown(long)}.",
                hint="Every row needs one value for each label.",
            )
        return 0
    (length,) = lengths
    fits = names is not None and len(names) == length
    if said or fits or length < 2:
        return length if said or fits else 0
    if repeats or boolean or not values <= {0, 1}:
        return length
    raise DataFormatError(
        f"{where}: {_shown(cells[0])} may be a 0/1 vector of two labels, or the ids 0 and 1.", hint=READINGS
    )


def _plain(token: Token) -> float | str:
    if str(token).lower() in ("true", "false"):
        return float(str(token).lower() == "true")
    number = as_number(token)
    return number if isinstance(number, str) else float(number)


def _shares(cells: Sequence[Listed], values: set[float | str]) -> bool:
    """Whether cells are equally long rows of numbers in 0..1, some in between."""
    fractions = all(not isinstance(value, str) and 0 <= value <= 1 for value in values)
    return fractions and len({len(cell) for cell in cells}) == 1 and len(cells[0]) > 1


def _check_counts(cells: Sequence[Listed], where: str, names: Sequence[str] | None, *, said: bool) -> None:
    """Refuse rows of counts or intensities, which repeat a number where a list of ids never does."""
    lengths = {len(cell) for cell in cells}
    if said or len(lengths) != 1 or max(lengths, default=0) < 3:
        return
    repeating = [cell for cell in cells if len(set(map(_plain, cell))) < len(cell)]
    if len(repeating) * 2 > len(cells) or (repeating and names is not None and len(names) in lengths):
        raise DataFormatError(
            f"{where} holds {_shown(repeating[0])}: counts or intensities of {len(cells[0])} labels, or ids?",
            hint="Write them as one column per label, with data.positive_from; or say data.label_form ids.",
        )


def _digit_strings(cells: Sequence[Listed], where: str, names: Sequence[str] | None, *, said: bool) -> int:
    """Length of vectors written without a separator, such as 010.

    Raises:
        DataFormatError: unless the user says what they are.
    """
    words = [cell[0] for cell in cells if len(cell) == 1 and isinstance(cell[0], str)]
    if not words or len(words) != len(cells) or not all(re.fullmatch(r"[01]{2,}", word) for word in words):
        return 0
    lengths = {len(word) for word in words}
    if said and len(lengths) == 1:
        return lengths.pop()
    leading = any(word.startswith("0") for word in words)
    fits = names is not None and lengths == {len(names)}
    if len(lengths) == 1 and (leading or fits or lengths.pop() >= 3):
        raise DataFormatError(
            f"{where} holds {words[0]}: a 0/1 vector of {len(words[0])} labels, or the id {int(words[0])}?",
            hint=READINGS,
        )
    return 0


def _shown(cell: Listed) -> str:
    return "[" + ", ".join(map(str, cell[:6])) + (", ..." if len(cell) > 6 else "") + "]"
