"""Label cells of a table: ids, names, lists, or several in one cell with a delimiter between them."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.errors import DataFormatError

DELIMITERS = (",", ";", "|")
NO_DELIMITER = "none"
_NUMBERS = re.compile(r"\d+(?:\s+\d+)*")

Labels = list[str | int]


@dataclass(frozen=True)
class LabelCells:
    """The label column of a table, read.

    Attributes:
        rows: labels of each row as names; None where the cell is empty.
        labels: names of the labels that the column annotates.
        numbered: whether the names are bare ids.
        form: how the cells were read, in words.
    """

    rows: list[list[str] | None]
    labels: tuple[str, ...]
    numbered: bool
    form: str


def read_cells(values: Sequence[Any], where: str, *, delimiter: str | None, names: Sequence[str] | None) -> LabelCells:
    """Read a label column.

    Args:
        values: its cells: numbers, texts, lists, or None.
        where: file and column, for messages.
        delimiter: between labels of one cell; "none" for none; found when None.
        names: the labels in the order of their ids; the ones that occur when None.

    Raises:
        DataFormatError: when the delimiter is ambiguous, an id is outside the names, or a cell is none of these forms.
    """
    cells = [_as_list(value, where) for value in values]
    texts = [cell for cell in cells if isinstance(cell, str)]
    separator = _find_delimiter(texts, where, delimiter, names)
    rows = [_split(cell, separator) if isinstance(cell, str) else cell for cell in cells]
    form = "lists" if not texts and any(isinstance(value, (list, str)) for value in values) else "one label a cell"
    if separator:
        form = f"labels separated by '{separator}'"
    if all(_is_id(part) for row in rows if row is not None for part in row):
        return _from_ids([None if row is None else [int(part) for part in row] for row in rows], where, names, form)
    spelled = {name.casefold(): name for name in names or ()}
    named = [None if row is None else [spelled.get(str(p).casefold(), str(p)) for p in row] for row in rows]
    return LabelCells(named, _vocabulary(named, names), False, f"names, {form}")


def _as_list(value: Any, where: str) -> str | Labels | None:
    """A cell as a list where it is one or holds one number; as a text where it must be split; None when empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (list, tuple)):
        return [_part(part, where) for part in value]
    if isinstance(value, str):
        text = value.strip()
        return _listed(text, where) if text.startswith("[") and text.endswith("]") else text or None
    return [_part(value, where)]


def _part(value: Any, where: str) -> str | int:
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, (int, float)) and float(value).is_integer():
        return int(value)
    raise DataFormatError(f"{where}: {value!r} is not a label; expected a name or a whole number.")


def _listed(text: str, where: str) -> Labels:
    """A list written as text, by JSON, Python (`['joy', 'love']`) or numpy (`[ 3 17]`)."""
    inner = text[1:-1].strip()
    if not inner:
        return []
    if _NUMBERS.fullmatch(inner):
        return [int(part) for part in inner.split()]
    try:
        return [_part(part, where) for part in ast.literal_eval(text)]
    except (ValueError, SyntaxError):
        return [part.strip().strip("'\"") for part in inner.split(",")]


def _find_delimiter(texts: Sequence[str], where: str, given: str | None, names: Sequence[str] | None) -> str | None:
    if given is not None:
        return None if given == NO_DELIMITER else given
    if names is not None and set(texts) <= set(names):
        return None
    present = [mark for mark in DELIMITERS if any(mark in text for text in texts)]
    if len(present) > 1:
        raise DataFormatError(
            f"{where}: the labels of a cell may be separated by any of: {' '.join(present)}.",
            hint=f'Name it with data.delimiter ("{NO_DELIMITER}" when a cell is one label).',
        )
    return present[0] if present else None


def _split(cell: str, separator: str | None) -> Labels:
    parts = cell.split(separator) if separator else [cell]
    return [part.strip() for part in parts if part.strip()]


def _is_id(part: str | int) -> bool:
    return isinstance(part, int) or re.fullmatch(r"\d+(?:\.0)?", part) is not None


def _from_ids(rows: list[list[int] | None], where: str, names: Sequence[str] | None, form: str) -> LabelCells:
    used = sorted({label for row in rows if row is not None for label in row})
    if names is None:
        named = [None if row is None else [str(label) for label in row] for row in rows]
        return LabelCells(named, tuple(map(str, used)), True, f"ids without names, {form}")
    outside = [str(label) for label in used if not 0 <= label < len(names)]
    if outside:
        raise DataFormatError(
            f"{where}: label ids {', '.join(outside)} are outside 0..{len(names) - 1}: there are {len(names)} labels."
        )
    named = [None if row is None else [names[label] for label in row] for row in rows]
    return LabelCells(named, tuple(names), False, f"ids, {form}")


def _vocabulary(rows: Sequence[list[str] | None], names: Sequence[str] | None) -> tuple[str, ...]:
    """The declared names, and then any further one that occurs."""
    found = sorted({label for row in rows if row is not None for label in row})
    return tuple(dict.fromkeys([*(names or ()), *found]))
