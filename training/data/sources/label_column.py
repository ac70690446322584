"""A label column, read as a whole: what its cells mean is decided over all of them, and logged."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import DataFormatError
from training.config.data import LabelKeys
from training.data.sources.cells import MISSING, Listed, Scored, Token, as_number, parse_cell
from training.data.sources.delimiters import find_delimiter, shown, split_text
from training.data.sources.label_cells import Column, LabelCells, finish, matrices, notes_on_nulls
from training.data.sources.vectors import vector_length

MOST_BARE_IDS = 60
"""More different whole numbers without names are scores or row ids, not classes."""
FEWEST_ROWS_TO_JUDGE = 50
READINGS = "Say which with data.label_form: multi_hot, ids or names."


def read_cells(
    values: Sequence[Any], where: str, keys: LabelKeys | None = None, names: Sequence[str] | None = None
) -> LabelCells:
    """Read a label column.

    Args:
        values: N cells: numbers, texts, lists, dicts, or None.
        where: file and column, for messages.
        keys: what the user says about labels.
        names: the labels in the order of their ids; those that occur when None.

    Raises:
        DataFormatError: for cells that can be read in two ways, that are scores, or that are no labels.
    """
    keys = keys or LabelKeys()
    codes, distinct = _distinct(values)
    parsed = [parse_cell(value, where) for value in distinct]
    counts = np.bincount(codes[codes >= 0], minlength=len(distinct)).tolist()
    named = tuple(names) if names is not None else None
    notes = _notes_on_missing(distinct, parsed, counts, named)
    texts = {cell: count for cell, count in zip(parsed, counts, strict=True) if isinstance(cell, str)}
    for literal in _declared_literals(distinct, named):
        texts[literal] = 1
    separator = find_delimiter(list(texts), where, keys.delimiter, named)
    notes += separator.notes
    cells = [_tokens(cell, value, separator.mark, named) for cell, value in zip(parsed, distinct, strict=True)]
    form = _form(parsed, separator.mark)
    column = Column(cells, counts, where, keys, named, form, notes)
    if any(isinstance(cell, Scored) for cell in cells):
        return _from_scores(column, codes)
    kind = keys.label_form or _kind(column)
    if kind == "multi_hot":
        return _from_vectors(column, codes)
    return _from_ids(column, codes) if kind == "ids" else _from_names(column, codes)


def _distinct(values: Sequence[Any]) -> tuple[NDArray[np.int32], list[Any]]:
    """Which of the different cells each row has, and these."""
    seen: dict[Any, int] = {}
    distinct: list[Any] = []
    codes = np.empty(len(values), dtype=np.int32)
    for row, value in enumerate(values):
        key = value if type(value) is str else (type(value), repr(value))
        code = seen.get(key)
        if code is None:
            code = seen[key] = len(distinct)
            distinct.append(value)
        codes[row] = code
    return codes, distinct


def _declared_literals(distinct: Sequence[Any], names: tuple[str, ...] | None) -> list[str]:
    """`none` and the like where a label is called so."""
    declared = {name.casefold() for name in names or ()} & MISSING
    return [value.strip() for value in distinct if isinstance(value, str) and value.strip().casefold() in declared]


def _notes_on_missing(
    distinct: Sequence[Any], parsed: Sequence[Any], counts: Sequence[int], names: tuple[str, ...] | None
) -> list[str]:
    declared = {name.casefold() for name in names or ()}
    words: Counter[str] = Counter()
    for value, cell, count in zip(distinct, parsed, counts, strict=True):
        if cell is None and isinstance(value, str) and value.strip() and value.strip().casefold() not in declared:
            words[value.strip()] += count
    return [
        f"{count:,} cells hold the word '{word}', read as no answer; name it in the labels if it is one"
        for word, count in words.items()
    ]


def _tokens(cell: Any, value: Any, mark: str | None, names: tuple[str, ...] | None) -> Listed | Scored | None:
    if cell is None and names and isinstance(value, str) and value.strip().casefold() in {n.casefold() for n in names}:
        cell = value.strip()
    if cell is None or isinstance(cell, (Listed, Scored)):
        return cell
    if isinstance(cell, str):
        return Listed(split_text(cell, mark, names)) or None
    return Listed((cell,))


def _form(parsed: Sequence[Any], mark: str | None) -> str:
    if any(isinstance(cell, Scored) for cell in parsed):
        return "labels with values"
    if mark:
        return f"labels separated by {shown(mark)}"
    plain = any(isinstance(cell, str) for cell in parsed)
    return "lists" if not plain and any(isinstance(cell, Listed) for cell in parsed) else "one label a cell"


def _kind(column: Column) -> str:
    """names, ids or multi_hot.

    Raises:
        DataFormatError: when cells can be read in two ways, or names stand beside numbers.
    """
    tokens = {token for cell in column.filled for token in cell}
    numbers = {token for token in tokens if not isinstance(as_number(token), str)}
    words = {token for token in tokens - numbers if str(token).lower() not in ("true", "false")}
    declared = {name.casefold() for name in column.names or ()}
    if (
        tokens
        and declared
        and all(str(token).casefold() in declared for token in tokens)
        and not (numbers and vector_length(column.filled, column.where, column.names))
    ):
        return "names"
    if words and numbers:
        some = ", ".join(sorted(map(str, words))[:3]), ", ".join(sorted(map(str, numbers))[:3])
        raise DataFormatError(
            f"{column.where} holds names ({some[0]}) beside numbers ({some[1]}).",
            hint="Clean the column, or say data.label_form names to take the numbers as names.",
        )
    if words or not tokens:
        return "names"
    if vector_length(column.filled, column.where, column.names):
        return "multi_hot"
    return "ids" if numbers else "names"


def _from_vectors(column: Column, codes: NDArray[np.int32]) -> LabelCells:
    """0/1 vectors: every cell says yes or no to every label."""
    length = vector_length(column.filled, column.where, column.names, said=True)
    if column.names is not None and length != len(column.names):
        raise DataFormatError(
            f"{column.where} holds 0/1 vectors of {length} values, and there are {len(column.names)} labels: "
            f"{', '.join(column.names[:6])}{', ...' if len(column.names) > 6 else ''}.",
            hint="Name the labels in the order of the vectors with data.labels.",
        )
    targets, known = matrices(column, length)
    for row, cell in enumerate(column.cells):
        if isinstance(cell, Listed):
            targets[row] = [_unit(value, column) for value in (cell if len(cell) == length else str(cell[0]))]
    labels = column.names or tuple(map(str, range(length)))
    form = f"0/1 vectors of {length} labels{'' if column.names else ' without names'}"
    return finish(column, codes, targets, known, labels, numbered=column.names is None, form=form)


def _unit(value: Token, column: Column) -> float:
    text = str(value).lower()
    number = as_number(value)
    share = float(text == "true") if text in ("true", "false") else number if not isinstance(number, str) else -1.0
    if share in (0, 1) or (column.keys.soft_labels and 0 <= share <= 1):
        return float(share)
    raise DataFormatError(
        f"{column.where} holds vectors with the value {value}; allowed: 0 and 1.",
        hint="Shares in 0..1 are read with data.soft_labels true; scores and counts are not classes.",
    )


def _from_scores(column: Column, codes: NDArray[np.int32]) -> LabelCells:
    """Dicts of label and value: null is unknown, and so is what a cell leaves out, unless no cell names one with 0."""
    scored = [item for cell in column.cells if isinstance(cell, Scored) for item in cell.items()]
    named = {name for name, value in scored if not math.isnan(value)}
    named |= {str(token) for cell in column.filled for token in cell}
    spelled = _spellings(Counter(dict.fromkeys(named, 1)), column)
    labels = _vocabulary(spelled.values(), column.names)
    place = {name: position for position, name in enumerate(labels)}
    targets, known = matrices(column, len(labels))
    explicit = any(value == 0 for _, value in scored)
    for row, cell in enumerate(column.cells):
        if isinstance(cell, Scored):
            if explicit:
                known[row] = False
            for name, value in cell.items():
                if name in named:
                    known[row, place[spelled[name]]] = not math.isnan(value)
                    targets[row, place[spelled[name]]] = 0.0 if math.isnan(value) else _unit(value, column)
        elif cell is not None:
            for token in cell:
                targets[row, place[spelled[str(token)]]] = 1.0
    if explicit and not known.all():
        column.notes.append("cells name some labels with 0 and leave out others: those are unknown for their rows")
    column.notes.extend(notes_on_nulls(column, {name for name, _ in scored} - named))
    return finish(column, codes, targets, known, labels, numbered=False, form="labels with values")


def _from_ids(column: Column, codes: NDArray[np.int32]) -> LabelCells:
    rows = [
        None if not isinstance(cell, Listed) else [_whole(token, column) for token in cell] for cell in column.cells
    ]
    repeated = sum(n for row, n in zip(rows, column.counts, strict=True) if row and len(set(row)) < len(row))
    if repeated:
        column.notes.append(f"{repeated:,} cells name a label more than once; it counts once")
    used = sorted({label for row in rows if row for label in row})
    if column.names is None:
        _check_bare_ids(used, column)
        labels = tuple(map(str, used))
        place = {label: position for position, label in enumerate(used)}
        form = f"ids without names, {column.form}"
    else:
        used = _without_minus_one(used, rows, column)
        start = _first_id(used, column)
        labels = column.names
        place = {start + position: position for position in range(len(labels))}
        form = f"ids{' from 1' if start else ''}, {column.form}"
    targets, known = matrices(column, len(labels))
    for row, ids in enumerate(rows):
        targets[row, [place[label] for label in ids or ()]] = 1.0
    return finish(column, codes, targets, known, labels, numbered=column.names is None, form=form)


def _whole(token: Token, column: Column) -> int:
    number = as_number(token)
    if isinstance(number, (bool, int)):
        return int(number)
    raise DataFormatError(
        f"{column.where} holds {token}: a score, not a class; regression is not offered.",
        hint="Name a column of classes with data.label_column, or cut the scores into classes first.",
    )


def _check_bare_ids(used: Sequence[int], column: Column) -> None:
    if column.keys.label_form == "ids":
        return
    if len(used) > MOST_BARE_IDS:
        raise DataFormatError(
            f"{column.where} holds {len(used)} different whole numbers ({used[0]} to {used[-1]}) without names: scores "
            "or row ids, or classes?",
            hint="Name the labels with data.labels, or say data.label_form ids.",
        )
    digits = [str(label) for label in used]
    if len(used) > 1 and max(map(len, digits)) >= 3 and all(set(word) <= {"0", "1"} for word in digits):
        raise DataFormatError(
            f"{column.where} holds {', '.join(digits[:4])}: ids, or 0/1 vectors that lost their leading zeros?",
            hint="Say data.label_form ids, or write the vectors with a separator.",
        )


def _without_minus_one(used: list[int], rows: list[list[int] | None], column: Column) -> list[int]:
    """-1 is what `datasets` writes where a split has no gold label."""
    if -1 not in used or column.keys.label_form == "ids":
        return used
    count = 0
    for row, ids in enumerate(rows):
        if ids == [-1]:
            rows[row] = column.cells[row] = None
            count += column.counts[row]
    column.notes.append(f"{count:,} rows have the id -1, read as no answer")
    return [label for label in used if label != -1]


def _first_id(used: Sequence[int], column: Column) -> int:
    """0 or 1: from where ids count."""
    names = column.names or ()
    start = column.keys.ids_start
    if start is None and used and used[0] >= 1 and used[-1] == len(names):
        raise DataFormatError(
            f"{column.where}: label ids run from {used[0]} to {used[-1]}, and there are {len(names)} labels: do they "
            f"count from 1 ('{names[0]}' is 1)?",
            hint="Say so with data.ids_start 1.",
        )
    start = start or 0
    outside = [str(label) for label in used if not start <= label < len(names) + start]
    if outside:
        raise DataFormatError(
            f"{column.where}: label ids {', '.join(outside[:8])} are outside {start}..{len(names) - 1 + start}: there "
            f"are {len(names)} labels."
        )
    if used and used[0] >= 1 and column.keys.ids_start is None and len(used) > 1:
        column.notes.append(
            f"no id 0 occurs: ids are taken to count from 0 ({used[0]} is '{names[used[0]]}'); "
            "if they count from 1, say data.ids_start 1"
        )
    return start


def _from_names(column: Column, codes: NDArray[np.int32]) -> LabelCells:
    found: Counter[str] = Counter()
    repeated = 0
    for cell, count in zip(column.cells, column.counts, strict=True):
        if isinstance(cell, Listed):
            found.update({str(token): count for token in cell})
            repeated += count if len({str(token).casefold() for token in cell}) < len(cell) else 0
    if repeated:
        column.notes.append(f"{repeated:,} cells name a label more than once; it counts once")
    _check_names(found, column)
    spelled = _spellings(found, column)
    labels = _vocabulary(spelled.values(), column.names)
    place = {name: position for position, name in enumerate(labels)}
    targets, known = matrices(column, len(labels))
    for row, cell in enumerate(column.cells):
        targets[row, [place[spelled[str(token)]] for token in cell or ()]] = 1.0
    return finish(column, codes, targets, known, labels, numbered=False, form=f"names, {column.form}")


def _check_names(found: Counter[str], column: Column) -> None:
    rows = sum(column.counts)
    if column.names is None and rows >= FEWEST_ROWS_TO_JUDGE and len(found) > rows / 2:
        raise DataFormatError(
            f"{column.where} has {len(found):,} different values in {rows:,} rows ({', '.join(list(found)[:3])}, ...): "
            "ids, dates or texts, not labels.",
            hint="Name the column of labels with data.label_column.",
        )
    bits = [name for name in found if re.fullmatch(r"[01]{2,}", name)]
    if bits and len(bits) == len(found) and column.keys.label_form is None:
        raise DataFormatError(f"{column.where} holds {bits[0]}: ids or 0/1 vectors?", hint=READINGS)


def _spellings(found: Counter[str], column: Column) -> dict[str, str]:
    """The one spelling of every name: the declared one, else the most frequent of those that differ in case alone."""
    declared = {name.casefold(): name for name in column.names or ()}
    exact = set(column.names or ())
    forms: dict[str, list[str]] = {}
    for name in found:
        forms.setdefault(name.casefold(), []).append(name)
    spelled: dict[str, str] = {}
    for folded, variants in forms.items():
        chosen = declared.get(folded) or max(variants, key=lambda name: (found[name], name))
        if len(variants) > 1 and not set(variants) <= exact:
            column.notes.append(f"{', '.join(sorted(variants))} are taken as one label, '{chosen}'")
        spelled |= {name: name if name in exact else chosen for name in variants}
    return spelled


def _vocabulary(found: Any, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """The declared names, and then any further one that occurs."""
    return tuple(dict.fromkeys([*(names or ()), *sorted(set(found))]))
