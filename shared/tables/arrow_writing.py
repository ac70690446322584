"""Parquet written from any table: Arrow's types kept, other values given the narrowest type that holds them all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from shared.errors import ConfigError
from shared.tables.arrow_rows import ArrowReader
from shared.tables.chunk import Chunk
from shared.tables.table import Table
from shared.tables.values import encodable, to_text

ROW_GROUP_ROWS = 2**16
HUGGINGFACE = b"huggingface"
_EXACT_INTEGERS = 2**53


class ParquetLayout:
    """The columns of a Parquet file that is written, with their types; may be sent to another process.

    Args:
        table: what the rows are read from; read once before, unless it is Parquet or Arrow, or holds texts alone.
        added: names of the columns that are added after the table's own.
        lists: those of them that hold lists of texts; the others hold numbers.
        drop: columns of the table that are left out.

    Attributes:
        name: of the table, for messages.
        schema: of the file.
        notes: columns whose values no type of Arrow holds, or that are not written as they were, to be shown.
    """

    def __init__(
        self, table: Table, added: Sequence[str], *, lists: Sequence[str] = (), drop: Sequence[str] = ()
    ) -> None:
        self.name, self._drop = table.name, frozenset(drop)
        first = table.files[0]
        self.notes: list[str] = []
        self._types: dict[str, ColumnType] = {}
        if isinstance(first, ArrowReader):
            self._fields = [field for field in first.schema if field.name not in self._drop]
            self._metadata = dict(first.schema.metadata or {})
        else:
            self._types = types = column_types(table)
            names = [name for name in table.all_columns() if name not in self._drop]
            if wrong := [name for name in names if encodable(name) != name]:
                raise ConfigError(
                    f"{table.name}: the name {encodable(wrong[0])} of a column holds half a surrogate pair, which "
                    "Parquet cannot hold.", hint="Name a .csv or .jsonl.",
                )  # fmt: skip
            self._fields = [pa.field(name, types[name].arrow) for name in names]
            self._metadata = {}
            self.notes = [
                f"column '{name}' is written as text: {found.why}" for name, found in types.items() if found.why
            ]
        further = {name: pa.list_(pa.string()) if name in lists else pa.float64() for name in added}
        self._further = further
        self.schema = pa.schema(
            [*self._fields, *(pa.field(name, kind) for name, kind in further.items())], self._described(further)
        )
        try:
            pq.ParquetWriter(pa.BufferOutputStream(), self.schema).close()
        except (pa.ArrowException, OSError) as error:
            raise _no_parquet(table.name, error) from None

    def batch(self, chunk: Chunk, added: Mapping[str, Any]) -> pa.RecordBatch:
        """The rows of a chunk with the added columns after their own."""
        own = [self._own(chunk, field) for field in self._fields]
        further = [pa.array(added[name], kind) for name, kind in self._further.items()]
        return pa.record_batch([*own, *further], schema=self.schema)

    def _own(self, chunk: Chunk, field: pa.Field) -> pa.Array:
        if chunk.arrow is not None:
            column = chunk.arrow.column(field.name)
            if pa.types.is_dictionary(column.type) and column.dictionary.null_count:  # which Parquet cannot hold
                column = column.dictionary_decode().dictionary_encode()
            return column.cast(field.type)
        values = chunk.columns.get(field.name) or [None] * len(chunk)
        converted = list(map(self._types[field.name].convert, values))
        try:
            return pa.array(converted, field.type)
        except UnicodeEncodeError:
            where = f"{chunk.name}, column '{field.name}'"
            note = f"{where}: half a surrogate pair, which Parquet cannot hold, is written as U+FFFD"
            if note not in self.notes:
                self.notes.append(note)
            return pa.array(list(map(_encodable, converted)), field.type)

    def _described(self, further: Mapping[str, pa.DataType]) -> dict[bytes, bytes]:
        """The schema's metadata; the features that `datasets` stores there get the added columns too."""
        if HUGGINGFACE not in self._metadata:
            return self._metadata
        content = json.loads(self._metadata[HUGGINGFACE])
        features = content.get("info", {}).get("features", {})
        for name in self._drop & set(features):
            del features[name]
        for name, kind in further.items():
            inner = {"dtype": str(kind.value_type if pa.types.is_list(kind) else kind), "_type": "Value"}
            inner["dtype"] = {"double": "float64"}.get(inner["dtype"], inner["dtype"])
            features[name] = {"feature": inner, "_type": "Sequence"} if pa.types.is_list(kind) else inner
        return {**self._metadata, HUGGINGFACE: json.dumps(content).encode()}


def _no_parquet(name: str, error: Exception) -> ConfigError:
    return ConfigError(f"{name} cannot be written as Parquet: {error}.", hint="Name a .csv or .jsonl.")


class ParquetTableWriter:
    """Parquet in row groups of equal size.

    Args:
        stream: where to.
        layout: the columns.

    Raises:
        ConfigError: by its methods, for values that Parquet does not hold.
    """

    def __init__(self, stream: BinaryIO, layout: ParquetLayout) -> None:
        self._layout, self.notes = layout, layout.notes
        self._writer = pq.ParquetWriter(stream, layout.schema)
        self._held: list[pa.RecordBatch] = []
        self._held_rows = 0

    def write(self, chunk: Chunk, added: Mapping[str, Any]) -> None:
        """Write the rows of a chunk with the added columns after their own."""
        self.write_batches([self._layout.batch(chunk, added)])

    def write_batches(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Write rows that have the layout already."""
        for batch in batches:
            self._held.append(batch)
            self._held_rows += batch.num_rows
            if self._held_rows >= ROW_GROUP_ROWS:
                self._flush()

    def close(self) -> None:
        """Write what is held and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._held:
            table = pa.Table.from_batches(self._held, self._layout.schema)
            try:
                self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
            except pa.ArrowException as error:
                raise _no_parquet(self._layout.name, error) from None
        self._held, self._held_rows = [], 0


def _encodable(value: Any) -> Any:
    """A value, or a list of values, whose texts UTF-8 can hold."""
    if isinstance(value, list):
        return list(map(_encodable, value))
    return encodable(value) if isinstance(value, str) else value


class ColumnType:
    """The narrowest type of Arrow that holds all values of a column as they are.

    Attributes:
        arrow: the type.
        convert: a value as that type takes it.
        why: why it is text, where it is so for want of a better type.
    """

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._low = self._high = 0
        self._items: ColumnType | None = None

    def observe(self, values: Iterable[Any]) -> None:
        """Take values into account."""
        for value in values:
            if value is None:
                continue
            kind = _kind(value)
            self._kinds.add(kind)
            if kind == "whole numbers":
                self._low, self._high = min(self._low, value), max(self._high, value)
            elif kind == "lists":
                self._items = self._items or ColumnType()
                self._items.observe(value)

    @property
    def arrow(self) -> pa.DataType:
        """The type; text where nothing else holds the values."""
        return self._resolved()[0]

    @property
    def why(self) -> str:
        """Why it is text, where it is so for want of a better type."""
        return self._resolved()[1]

    @property
    def convert(self) -> Callable[[Any], Any]:
        """A value as the type takes it."""
        if self.why:
            return lambda value: None if value is None else to_text(value)
        return float_or_none if self.arrow == pa.float64() else lambda value: value

    def _resolved(self) -> tuple[pa.DataType, str]:
        if self._kinds <= {"texts"}:
            return pa.string(), ""
        if self._kinds <= {"numbers", "whole numbers"}:
            return self._number()
        if self._kinds == {"lists"} and self._items is not None:
            inner, why = self._items._resolved()
            return (pa.string(), f"in its lists, {why}") if why else (pa.list_(inner), "")
        kind = next(iter(self._kinds))
        if len(self._kinds) == 1 and kind in _SINGLE:
            return _SINGLE[kind], ""
        return pa.string(), f"it holds {' and '.join(sorted(self._kinds))}"

    def _number(self) -> tuple[pa.DataType, str]:
        if "numbers" not in self._kinds:
            return self._whole()
        if self._low >= -_EXACT_INTEGERS and self._high <= _EXACT_INTEGERS:
            return pa.float64(), ""
        return pa.string(), "it holds fractions and whole numbers that no number type holds both"

    def _whole(self) -> tuple[pa.DataType, str]:
        if self._low >= -(2**63) and self._high < 2**63:
            return pa.int64(), ""
        if self._low >= 0 and self._high < 2**64:
            return pa.uint64(), ""
        digits = max(len(str(abs(self._low))), len(str(abs(self._high))))
        if digits <= 38:
            return pa.decimal128(38, 0), ""
        return pa.string(), f"it holds whole numbers of {digits} digits"


def float_or_none(value: Any) -> float | None:
    """A number as a float."""
    return None if value is None else float(value)


_SINGLE = {
    "booleans": pa.bool_(),
    "dates and times": pa.timestamp("us"),
    "dates": pa.date32(),
    "times": pa.time64("us"),
    "durations": pa.duration("us"),
}
_KINDS = {
    "str": "texts", "bool": "booleans", "int": "whole numbers", "float": "numbers", "JsonFloat": "numbers",
    "list": "lists", "dict": "objects", "datetime": "dates and times", "date": "dates", "time": "times",
    "timedelta": "durations",
}  # fmt: skip


def _kind(value: Any) -> str:
    return _KINDS[type(value).__name__]


def column_types(table: Table) -> dict[str, ColumnType]:
    """The type of every column; a table of texts alone is not read for it."""
    if table.holds_texts:
        found = {name: ColumnType() for name in table.columns}
        for kind in found.values():
            kind.observe([""])
        return found
    types: dict[str, ColumnType] = {}
    for chunk in table.survey():
        for name, values in chunk.columns.items():
            types.setdefault(name, ColumnType()).observe(values)
    return types
