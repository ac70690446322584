"""Tables of any format as columns: CSV, TSV, JSON lines and Parquet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shared.errors import DataFormatError
from training.data.files import read_lines, read_text

CSV_SEPARATORS = (",", ";", "\t", "|")
_DOUBLED_QUOTES = re.compile(r'"(?:[^"]|"")*""(?:[^"]|"")*"')


@dataclass(frozen=True)
class Table:
    """A table read whole.

    Attributes:
        path: its file.
        columns: values of every column, in the order of the file; None for a missing value.
        class_names: names of label ids by column, where the file itself holds them (Parquet written by `datasets`).
    """

    path: Path
    columns: Mapping[str, list[Any]]
    class_names: Mapping[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))


def read_table(path: Path) -> Table:
    """Read a file by its suffix.

    Raises:
        DataFormatError: for another suffix, bytes that are not UTF-8, or rows that do not fit the header.
        EmptyDataError: when a text file has no content.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataFormatError(f"{path} has the suffix '{path.suffix}'; allowed are {', '.join(READERS)}.")
    return reader(path)


def _read_csv(path: Path) -> Table:
    text = read_text(path)
    header = text.split("\n", 1)[0]
    separator = max(CSV_SEPARATORS, key=header.count)
    return _from_rows(path, _quoted_rows(path, text, separator))


def _read_tsv(path: Path) -> Table:
    """Quotes are plain characters as long as the columns come out even so; else as in CSV."""
    lines = [line.split("\t") for line in read_lines(path)]
    if len({len(fields) for fields in lines}) > 1:
        return _from_rows(path, _quoted_rows(path, read_text(path), "\t"))
    return _from_rows(path, [(number, [_unquoted(cell) for cell in fields]) for number, fields in enumerate(lines, 1)])


def _unquoted(cell: str) -> str:
    """A cell that a CSV writer had to quote, without its quotes; others as they stand."""
    return cell[1:-1].replace('""', '"') if _DOUBLED_QUOTES.fullmatch(cell) else cell


def _quoted_rows(path: Path, text: str, separator: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise DataFormatError(f"{path}, line {reader.line_num}: {error}.") from None


def _from_rows(path: Path, rows: Sequence[tuple[int, list[str]]]) -> Table:
    header = [name.strip() for name in rows[0][1]]
    if len(set(header)) < len(header):
        raise DataFormatError(f"{path} has columns of the same name in its header: {', '.join(header)}.")
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise DataFormatError(f"{path}, line {number}: {len(row)} fields where the header has {len(header)}.")
    return Table(path, {name: [row[place] for _, row in rows[1:]] for place, name in enumerate(header)})


def _read_json_lines(path: Path) -> Table:
    """One object a line, or one list of objects."""
    text = read_text(path)
    if text.lstrip().startswith("["):
        numbered = list(enumerate(_parse_json(text, f"{path}"), 1))
    else:
        lines = enumerate(text.split("\n"), 1)
        numbered = [(number, _parse_json(line, f"{path}, line {number}")) for number, line in lines if line.strip()]
    for number, row in numbered:
        if not isinstance(row, dict):
            raise DataFormatError(f"{path}, line {number}: expected a JSON object, found {json.dumps(row)[:80]}.")
    names = dict.fromkeys(name for _, row in numbered for name in row)
    return Table(path, {name: [row.get(name) for _, row in numbered] for name in names})


def _parse_json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataFormatError(f"{where}: not valid JSON ({error}).") from None


def _read_parquet(path: Path) -> Table:
    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise DataFormatError(f"{path} is not readable as Parquet: {error}.") from error
    return Table(path, table.to_pydict(), _class_names(table.schema))


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Names in the `ClassLabel` features that `datasets` writes into the schema, alone or in a list."""
    stored = (schema.metadata or {}).get(b"huggingface")
    features = json.loads(stored).get("info", {}).get("features", {}) if stored else {}
    found = {}
    for column, feature in features.items():
        inner = feature.get("feature", feature) if isinstance(feature, dict) else {}
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel":
            found[column] = list(inner["names"])
    return found


READERS = {
    ".csv": _read_csv, ".tsv": _read_tsv, ".tab": _read_tsv, ".jsonl": _read_json_lines, ".ndjson": _read_json_lines,
    ".json": _read_json_lines, ".parquet": _read_parquet,
}  # fmt: skip
"""The reader of every suffix."""
