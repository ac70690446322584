"""Parquet and Arrow files; pyarrow is loaded where one is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from shared.errors import DataFormatError
from shared.tables.byte_source import ByteSource
from shared.tables.chunk import Chunk
from shared.tables.options import Format, TableOptions


class ArrowReader:
    """Record batches of a Parquet file, or of an Arrow file or stream (as `datasets` writes them).

    Attributes:
        columns: their names, in the order of the file.
        notes: choices made, to be shown.
        schema: Arrow's schema.
        class_names: names of label ids by column, where the file holds them (`ClassLabel` of `datasets`).
    """

    def __init__(self, source: ByteSource, options: TableOptions, form: Format) -> None:
        self._source, self.name, self._form = source, source.name, form
        source.make_seekable()
        self.notes: list[str] = []
        self.schema = self._opened(lambda batches, schema: schema, 1)
        self.columns = list(self.schema.names)
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise DataFormatError(f"{self.name} has several columns of the name {', '.join(twice)}.")
        self.class_names = class_names_of(self.schema)

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, at most `rows` at once."""
        start = 1
        for batch in self._batches(rows):
            for offset in range(0, batch.num_rows, rows):
                part = batch if batch.num_rows <= rows else compact(batch.slice(offset, rows))
                yield Chunk(
                    ArrowColumns(part, self.name), self.name, range(start, start + part.num_rows), "row", arrow=part
                )
                start += part.num_rows

    def _opened(self, use: Any, rows: int) -> Any:
        import pyarrow as pa  # noqa: PLC0415  only where such a file is read

        try:
            with self._source.open() as stream:
                return use(*self._open(stream, rows))
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from None

    def _batches(self, rows: int) -> Iterator[Any]:
        import pyarrow as pa  # noqa: PLC0415

        try:
            with self._source.open() as stream:
                for batch in self._open(stream, rows)[0]:
                    for column in batch.columns:
                        if _holds_texts(column.type):  # bytes that are no UTF-8 are found where values are made
                            column.validate(full=True)
                    yield batch
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> DataFormatError:
        called = "Parquet" if self._form == "parquet" else "an Arrow file"
        return DataFormatError(f"{self.name} is not readable as {called}: {str(error).strip().rstrip('.')}.")

    def _open(self, stream: Any, rows: int) -> tuple[Iterator[Any], Any]:
        """Batches and schema of an open file."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        if self._form == "parquet":
            file = pq.ParquetFile(stream)
            return file.iter_batches(batch_size=rows), file.schema_arrow
        magic = stream.peek(6)[:6] if hasattr(stream, "peek") else b""
        if magic == b"ARROW1":
            reader = pa.ipc.open_file(stream)
            return (reader.get_batch(place) for place in range(reader.num_record_batches)), reader.schema
        opened = pa.ipc.open_stream(stream)
        return iter(opened), opened.schema


class ArrowColumns(Mapping[str, list[Any]]):
    """Values of a record batch by column, made where they are asked for; dates and times are ISO texts.

    Args:
        batch: the rows.
        name: of the file, for messages.
    """

    def __init__(self, batch: Any, name: str) -> None:
        self._batch, self._name = batch, name

    def __getitem__(self, column: str) -> list[Any]:
        """The values of a column.

        Raises:
            DataFormatError: where Python has no value for one of them.
        """
        from shared.tables.arrow_values import values_of  # noqa: PLC0415  loads pyarrow

        place = self._batch.schema.get_field_index(column)
        if place < 0:
            raise KeyError(column)
        try:
            return values_of(self._batch.column(place))
        except (ValueError, OverflowError) as error:
            raise DataFormatError(
                f"{self._name}: the values of the column '{column}' cannot be read: {error}.",
                hint="Leave that column out of the file.",
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._batch.schema.names)

    def __len__(self) -> int:
        return int(self._batch.num_columns)


def compact(part: Any) -> Any:
    """A slice of a record batch with its own rows alone: sent to another process, a slice takes all rows along."""
    import pyarrow as pa  # noqa: PLC0415

    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, part.schema) as writer:
        writer.write_batch(part)
    return pa.ipc.open_stream(stream.getvalue()).read_next_batch()


def _holds_texts(kind: Any) -> bool:
    """Whether values of a type are texts, or have some within."""
    import pyarrow as pa  # noqa: PLC0415

    if kind in (pa.string(), pa.large_string(), pa.string_view()):
        return True
    if pa.types.is_dictionary(kind):
        return _holds_texts(kind.value_type)
    return any(_holds_texts(kind.field(place).type) for place in range(kind.num_fields))


def class_names_of(schema: Any) -> dict[str, list[str]]:
    """Names in the `ClassLabel` features that `datasets` writes into the schema, alone or in a list."""
    stored = (schema.metadata or {}).get(b"huggingface")
    features = json.loads(stored).get("info", {}).get("features", {}) if stored else {}
    found = {}
    for column, feature in features.items():
        inner = feature[0] if isinstance(feature, list) and feature else feature
        inner = inner.get("feature", inner) if isinstance(inner, dict) else {}
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel":
            found[column] = list(inner["names"])
    return found
