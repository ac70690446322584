"""How an output file is put together: its beginning, its parts one after the other, its end."""

from __future__ import annotations

import gzip
import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from serving.bulk.job import PREDICTED, ScoredFile
from shared.tables import Chunk, Format, Table
from shared.tables.writing import DelimitedWriter, JsonWriter, TableWriter

if TYPE_CHECKING:
    from shared.tables.arrow_writing import ParquetLayout


@dataclass(frozen=True)
class Layout:
    """How rows are written; may be sent to another process.

    Attributes:
        form: csv, tsv, jsonl, json or parquet.
        packed: whether the text is compressed: every part by itself, which gunzip reads as one.
        columns: the table's own that are written.
        added: those after them.
        drop: columns of the table that are left out.
        parquet: columns and types of a Parquet file.
        notes: choices made while reading, and names that are not written as they were, to be shown.
    """

    form: Format
    packed: bool
    columns: Sequence[str]
    added: Sequence[str]
    drop: Sequence[str]
    parquet: ParquetLayout | None
    notes: Sequence[str] = ()

    @classmethod
    def of(cls, table: Table, file: ScoredFile, added: Sequence[str], drop: Sequence[str]) -> Layout:
        """The layout of the output of a table; JSON is read once for it, where the form needs all columns or types."""
        parquet = None
        if file.form == "parquet":
            from shared.tables.arrow_writing import ParquetLayout  # noqa: PLC0415  only where Parquet is written

            parquet = ParquetLayout(table, added, lists=[name for name in added if name == PREDICTED], drop=drop)
        delimited = file.form in ("csv", "tsv")
        columns = [name for name in table.all_columns() if name not in drop] if delimited else []
        found = cls(file.form, file.packed, columns, added, drop, parquet)
        named = found._delimited(io.BytesIO(), header=True).notes if delimited else ()
        return replace(found, notes=(*table.notes, *(parquet.notes if parquet else named)))

    def part(self, chunk: Chunk, added: Mapping[str, Any]) -> tuple[bytes, Sequence[str]]:
        """Rows of a chunk as they stand in the output (of Parquet, as Arrow's stream), and notes on what changed."""
        stream = io.BytesIO()
        writer: TableWriter
        if self.parquet is not None:
            import pyarrow as pa  # noqa: PLC0415

            with pa.ipc.new_stream(stream, self.parquet.schema) as batches:
                batches.write_batch(self.parquet.batch(chunk, added))
            return stream.getvalue(), self.parquet.notes
        if self.form in ("csv", "tsv"):
            writer = self._delimited(stream, header=False)
        else:
            writer = JsonWriter(stream, lines=self.form == "jsonl", drop=self.drop)
        writer.write(chunk, added)
        content = stream.getvalue().removeprefix(b"[" if self.form == "json" else b"")
        return self._pack(content) if content else b"", writer.notes

    def assemble(self, stream: BinaryIO, parts: Iterable[BinaryIO]) -> None:
        """Write a whole file from the parts that `part` has made."""
        if self.parquet is not None:
            self._assemble_parquet(stream, parts)
            return
        head = io.BytesIO()
        if self.form in ("csv", "tsv"):
            self._delimited(head, header=True)
        stream.write(self._pack(b"[" if self.form == "json" else head.getvalue()))
        begun = False
        for part in parts:
            first = part.read(1)
            if first and begun and self.form == "json":
                stream.write(self._pack(b","))
            begun = begun or bool(first)
            stream.write(first)
            shutil.copyfileobj(part, stream)
        if self.form == "json":
            stream.write(self._pack(b"\n]\n"))

    def _delimited(self, stream: BinaryIO, *, header: bool) -> DelimitedWriter:
        return DelimitedWriter(stream, "\t" if self.form == "tsv" else ",", self.columns, self.added, header=header)

    def _pack(self, content: bytes) -> bytes:
        return gzip.compress(content, mtime=0) if self.packed else content

    def _assemble_parquet(self, stream: BinaryIO, parts: Iterable[BinaryIO]) -> None:
        import pyarrow as pa  # noqa: PLC0415

        from shared.tables.arrow_writing import ParquetTableWriter  # noqa: PLC0415

        assert self.parquet is not None
        writer = ParquetTableWriter(stream, self.parquet)
        for part in parts:
            writer.write_batches(pa.ipc.open_stream(part))
        writer.close()
