"""An input file as parts: rows to score, each with the rows before it that were left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from serving.bulk.job import Job, ScoredFile, added_columns
from serving.bulk.layout import Layout
from shared.errors import ConfigError, DataFormatError
from shared.storage import storage_of
from shared.tables import Chunk, Table, open_table
from shared.tables.chunk import MOST_CONTENT, BadRow
from shared.tables.values import encodable, to_text


@dataclass(frozen=True)
class Part:
    """Rows of a file that are scored together.

    Attributes:
        file: number of the file in the run.
        number: of the part in the file, from 0.
        chunk: the rows; those that were left out are in its `bad`.
        layout: how they are written.
        share: of the file's bytes that have been read.
    """

    file: int
    number: int
    chunk: Chunk
    layout: Layout
    share: float

    @property
    def rows(self) -> str:
        """Which rows these are, for messages."""
        if not len(self.chunk):
            return f"no rows of {self.chunk.name}"
        first, last = self.chunk.numbers[0], self.chunk.numbers[-1]
        return f"{self.chunk.unit}s {first:,} to {last:,} of {self.chunk.name}"


@dataclass(frozen=True)
class FileEnd:
    """All parts of a file have been read.

    Attributes:
        file: its number in the run.
        parts: how many it has.
        layout: how its output begins, goes on and ends.
    """

    file: int
    parts: int
    layout: Layout


def read_parts(
    number: int, file: ScoredFile, job: Job, labels: Sequence[str], *, done: Collection[int] = (),
    table: Table | None = None,
) -> Iterator[Part | FileEnd]:  # fmt: skip
    """The parts of a file that are not `done`, then its end; the same at every reading of the same file.

    Args:
        number: of the file in the run.
        file: what is read.
        job: how.
        labels: of the bundle.
        done: numbers of parts to leave out.
        table: the open file, where it is.

    Raises:
        DataError: when the file cannot be read, or a row cannot and the job is not tolerant.
        ConfigError: when it has columns of the names that are added.
    """
    table = table or open_input(file, job)
    added = added_columns(labels, graded=job.graded)
    check_columns(table, job, added)
    layout = Layout.of(table, file, added, drop=added if job.overwrite_columns else ())
    place = -1
    for place, chunk in enumerate(table.chunks(job.part_rows)):
        if not job.overwrite_columns:
            check_free(f"{chunk.where(0)} and the rows after it" if len(chunk) else "", chunk.columns, added)
        if place not in done:
            yield Part(number, place, with_texts(chunk, job), layout, table.share_read() or 0.0)
    yield FileEnd(number, place + 1, layout)


def open_input(file: ScoredFile, job: Job) -> Table:
    """The file as a table."""
    return open_table([storage_of(file.source.path).source(file.source.path)], job.reading)


def check_columns(table: Table, job: Job, added: Sequence[str]) -> None:
    """The text column must be there, and the names of the added ones free."""
    if job.text_column not in table.columns:
        raise DataFormatError(
            f"{table.name} has no column '{job.text_column}' (columns: {', '.join(table.columns) or 'none'}).",
            hint="Name the column with --text_column.",
        )
    if not job.overwrite_columns:
        check_free(table.name, table.columns, added)


def check_free(where: str, columns: Mapping[str, Any] | Sequence[str], added: Sequence[str]) -> None:
    """Raise a `ConfigError` where a table has columns of the names that are added."""
    taken = [name for name in added if name in columns]
    if taken:
        raise ConfigError(
            f"{where} has the column{'s' if len(taken) > 1 else ''} {', '.join(taken[:5])} already.",
            hint="Rename them in the input, or replace them with --overwrite_columns.",
        )


def with_texts(chunk: Chunk, job: Job) -> Chunk:
    """The chunk without the rows whose text is no text; an error where the job is not tolerant."""
    values = chunk.columns.get(job.text_column) or ()
    wrong = {row for row, value in enumerate(values) if isinstance(value, (list, dict, bytes))}
    if not wrong:
        return chunk
    bad = [
        BadRow(chunk.numbers[row], f"the text is {to_text(values[row])[:60]!r}, which is no text",
               encodable(to_text(values[row])[:MOST_CONTENT]))
        for row in sorted(wrong)
    ]  # fmt: skip
    if not job.reading.tolerant:
        raise DataFormatError(f"{chunk.where(min(wrong))}: {bad[0].reason}.")
    kept = [row for row in range(len(chunk)) if row not in wrong]
    columns = {name: [column[row] for row in kept] for name, column in chunk.columns.items()}
    return replace(
        chunk, columns=columns, numbers=[chunk.numbers[row] for row in kept],
        json=None if chunk.json is None else [chunk.json[row] for row in kept],
        arrow=None if chunk.arrow is None else chunk.arrow.take(kept),
        bad=sorted([*chunk.bad, *bad], key=lambda row: row.number),
    )  # fmt: skip
