"""How a delimited file is written: its separator, its quotes and whether it has a header."""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from shared.errors import DataFormatError
from shared.tables.header import looks_like_header
from shared.tables.options import Quoting, TableOptions

SEPARATORS = (",", ";", "\t", "|")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", " ": "space"}
SAMPLE_ROWS = 1000
MAX_FIELD = 2**31 - 1
_HAD_TO_BE_QUOTED = re.compile(r'"(?:[^"]|"")*(?:""|\r)(?:[^"]|"")*"')
_CR_WITHIN = re.compile(r"\r(?!\r*(?:\n|\Z))")
"""A carriage return that is not at the end of its line."""
_CR_MARK = "\ud800"
"""Stands for it while the csv module reads: half a surrogate pair, which no decoded text holds."""
_SEP_LINE = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """How the rows of a file are cut into cells.

    Attributes:
        separator: between cells.
        quoting: "csv" where quotes enclose a cell and are doubled within, "escaped" where a backslash stands before
            those within, "none" where they are plain characters.
        skip_lines: lines before the first row: 1 for `sep=;`.
        notes: choices made, to be shown.
    """

    separator: str
    quoting: Quoting
    skip_lines: int = 0
    notes: tuple[str, ...] = field(default=())

    def described(self) -> str:
        """The choice in words."""
        return f"{NAMES.get(self.separator, repr(self.separator))}-separated"


def rows_of(
    lines: Iterable[str], dialect: Dialect, name: str, options: TableOptions
) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line, and the cells, of every row; blank lines are left out.

    A carriage return within a line is part of its cell, in quotes or not; the csv module refuses it without quotes.

    Raises:
        DataFormatError: for a quote that is never closed, or text after a closing quote.
    """
    remaining = islice(lines, dialect.skip_lines, None)
    if dialect.quoting == "none":
        yield from _plain_rows(remaining, dialect)
        return
    escape = "\\" if dialect.quoting == "escaped" else None
    marked = (_CR_WITHIN.sub(_CR_MARK, line) if "\r" in line else line for line in remaining)
    reader = csv.reader(marked, delimiter=dialect.separator, escapechar=escape, strict=True)
    start = 1
    while True:
        with _any_length:
            try:
                row = next(reader, None)
            except csv.Error as error:
                raise _broken(name, start + dialect.skip_lines, error, options) from None
        if row is None:
            return
        if row:
            yield start + dialect.skip_lines, [cell.replace(_CR_MARK, "\r") for cell in row]
        start = reader.line_num + 1


class _AnyLength:
    """Cells of any length while the block runs: the limit of the csv module, 131,072, is one for the whole process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._before = csv.field_size_limit(MAX_FIELD)

    def __exit__(self, *error: object) -> None:
        csv.field_size_limit(self._before)
        self._lock.release()


_any_length = _AnyLength()


def _plain_rows(lines: Iterable[str], dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, 1 + dialect.skip_lines):
        content = line.removesuffix("\n").removesuffix("\r")
        if content:
            yield number, [unquoted(cell) for cell in content.split(dialect.separator)]


def unquoted(cell: str) -> str:
    """A cell that a CSV writer had to quote, without its quotes; others as they stand."""
    return cell[1:-1].replace('""', '"') if cell[:1] == '"' and _HAD_TO_BE_QUOTED.fullmatch(cell) else cell


def _broken(name: str, line: int, error: csv.Error, options: TableOptions) -> DataFormatError:
    if "unexpected end of data" in str(error):
        what = f"the row that begins in line {line} has a quote that is never closed"
    else:
        what = f"the row that begins in line {line} is not quoted as CSV is ({error})"
    return DataFormatError(
        f"{name}, line {line}: {what}.",
        hint=f"Where quotes are plain characters, give {options.key('quoting')} none; where a backslash stands before "
        "a quote within a cell, escaped.",
    )


def find_dialect(sample: Sequence[str], *, whole: bool, tabs: bool, name: str, options: TableOptions) -> Dialect:
    """Separator and quoting of a file, by the options, a `sep=` line, or the only reading that fits.

    Args:
        sample: its first lines.
        whole: whether they are all lines.
        tabs: whether the name of the file says that tabs separate its columns.
        name: of the file, for messages.
        options: what the user said.

    Raises:
        DataFormatError: when two separators fit equally, or quotes can be read both ways; shows both readings.
    """
    said = options.separator_character()
    first = _SEP_LINE.fullmatch(sample[0]) if sample else None
    skip = 1 if first else 0
    if said is None and first:
        said = first.group(1)
    if said is None and tabs and sample and "\t" in sample[0]:
        said = "\t"
    candidates = [said] if said else list(SEPARATORS)
    quotings: list[Quoting] = [options.quoting] if options.quoting else ["csv"]
    fitting = [d for d in _candidates(candidates, quotings, skip) if _fits(sample, d, whole, name, options)]
    if len(fitting) > 1:
        raise _two_readings(sample, fitting, name, options)
    if not fitting and options.quoting is None:
        plain = [d for d in _candidates(candidates, ["none"], skip) if _fits(sample, d, whole, name, options)]
        if len(plain) == 1 and not _any_wrapped(sample, plain[0], name, options):
            key = options.key("quoting")
            fitting = [replace(plain[0], notes=(f"{name}: quotes are read as plain characters ({key} none)",))]
    if fitting:
        found = fitting[0]
    else:
        header = sample[skip] if len(sample) > skip else ""
        separator = said or max(SEPARATORS, key=header.count)
        found = Dialect(separator, options.quoting or "csv", skip)
    usual = "\t" if tabs else ","
    if found.separator != usual and said is None:
        found = replace(found, notes=(*found.notes, f"{name} is {found.described()}"))
    return found


def _candidates(separators: Sequence[str], quotings: Sequence[Quoting], skip: int) -> list[Dialect]:
    return [Dialect(separator, quoting, skip) for quoting in quotings for separator in separators]


def _sample_rows(
    sample: Sequence[str], dialect: Dialect, whole: bool, name: str, options: TableOptions
) -> list[list[str]] | None:
    """Rows of a sample; None where the reading breaks before the sample ends."""
    found: list[list[str]] = []
    try:
        for _, row in islice(rows_of(sample, dialect, name, options), SAMPLE_ROWS):
            found.append(row)
    except DataFormatError as error:
        if whole or "never closed" not in str(error):
            return None
    return found


def _fits(sample: Sequence[str], dialect: Dialect, whole: bool, name: str, options: TableOptions) -> bool:
    """Whether a reading gives at least two columns, as many in every row."""
    rows = _sample_rows(sample, dialect, whole, name, options)
    return rows is not None and len(rows) > 0 and len(rows[0]) > 1 and len({len(row) for row in rows}) == 1


def _any_wrapped(sample: Sequence[str], dialect: Dialect, name: str, options: TableOptions) -> bool:
    """Whether a cell stands in quotes: then quotes are not plain characters."""
    rows = _sample_rows(sample, dialect, False, name, options) or []
    return any(len(cell) > 1 and cell[0] == cell[-1] == '"' for row in rows for cell in row)


def check_one_text_a_line(sample: Sequence[str], name: str, options: TableOptions) -> None:
    """Refuse a `.txt` that may just as well be a delimited file.

    Raises:
        DataFormatError: when its lines come out as columns, as many in every line; shows both readings.
    """
    for separator in SEPARATORS:
        rows = [line.rstrip("\r\n").split(separator) for line in sample if line.strip()]
        enough = len(rows) >= 5 or separator == "\t" or looks_like_header(rows[0])
        if separator == "," and not looks_like_header(rows[0]):
            continue
        if enough and len(rows[0]) > 1 and len({len(row) for row in rows}) == 1:
            raise DataFormatError(
                f"{name} can be read as one text a line ({sample[0].strip()[:40]!r}), or as {len(rows[0])} columns "
                f"separated by {NAMES[separator]} ({', '.join(repr(cell[:20]) for cell in rows[0][:4])}).",
                hint=f"Give {options.key('separator')} {NAMES[separator]}, or {options.key('format')} txt.",
            )


def _two_readings(
    sample: Sequence[str], fitting: Sequence[Dialect], name: str, options: TableOptions
) -> DataFormatError:
    shown = []
    for dialect in fitting:
        rows = _sample_rows(sample, dialect, False, name, options) or [[]]
        cells = ", ".join(repr(cell[:30]) for cell in rows[0][:5])
        shown.append(f"by {NAMES.get(dialect.separator, dialect.separator)}: {len(rows[0])} columns {cells}")
    return DataFormatError(
        f"{name} can be read in {len(fitting)} ways ({'; '.join(shown)}).",
        hint=f"Give {options.key('separator')} the right one: {', '.join(NAMES[d.separator] for d in fitting)}.",
    )


def tab_quoting(lines: Iterable[str]) -> Quoting:
    """Whether quotes of a tab-separated file are plain: they are where the lines that hold one come out even."""
    width = None
    for line in lines:
        if width is None:
            width = line.count("\t")
            cells = line.rstrip("\r\n").split("\t")
            if all(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in cells):
                return "csv"
        elif '"' in line and line.count("\t") != width:
            return "csv"
    return "none"


def also_enclosed(sample: Sequence[str], plain: Dialect, name: str, options: TableOptions) -> bool:
    """Whether quotes that enclose cells would fit as well as plain ones, and give other rows."""
    enclosing = replace(plain, quoting="csv")
    if not _fits(sample, enclosing, True, name, options):
        return False
    readings = [_sample_rows(sample, dialect, True, name, options) or [] for dialect in (enclosing, plain)]
    return readings[0] != readings[1]


def text_lines(text: str) -> list[str]:
    """Lines of a text with their ends."""
    return list(io.StringIO(text, newline="\n"))
