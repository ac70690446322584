"""An input file as parts: rows to score, each with the rows before it that were left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from serving.bulk.job import Job, ScoredFile
from serving.bulk.layout import Layout
from serving.table_turns import TurnReader, Turns, whole_dialogues
from shared.errors import ConfigError, DataFormatError, InvalidInputError
from shared.languages import language_code
from shared.storage import storage_of
from shared.tables import Chunk, Table, open_table
from shared.tables.chunk import MOST_CONTENT, BadRow
from shared.tables.values import encodable, name_in, text_of, to_text, why_no_text


@dataclass(frozen=True)
class Part:
    """Rows of a file that are scored together.

    Attributes:
        file: number of the file in the run.
        number: of the part in the file, from 0.
        chunk: the rows; those that were left out are in its `bad`.
        layout: how they are written.
        share: of the file's bytes that have been read.
        turns: what stands before the rows, where they are turns of conversations.
    """

    file: int
    number: int
    chunk: Chunk
    layout: Layout
    share: float
    turns: Turns | None = None

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
    added = job.added(labels)
    check_columns(table, job, added)
    layout = Layout.of(table, file, added, drop=added if job.overwrite_columns else ())
    place = -1
    for place, (chunk, turns) in enumerate(read_rows(table, job, added, whole=True)):
        if place not in done:
            yield Part(number, place, chunk, layout, table.share_read() or 0.0, turns)
    yield FileEnd(number, place + 1, layout)


def read_rows(
    table: Table, job: Job, added: Sequence[str], *, whole: bool = False
) -> Iterator[tuple[Chunk, Turns | None]]:
    """The rows of a table to score, some at a time, with what stands before them in their conversations.

    Args:
        table: the rows.
        job: how.
        added: columns that they must not have.
        whole: whether a dialogue that is smoothed stays together, for another process to smooth.

    Raises:
        DataFormatError: for a row that cannot be read, unless the job is tolerant.
        ConfigError: when rows have columns of the names that are added.
    """
    chunks, reader = table.chunks(job.part_rows), None
    if job.turns is not None:
        reader = TurnReader(job.turns)
        if whole and job.turns.smoothing is not None:
            chunks = whole_dialogues(chunks, str(job.turns.dialogue))
    for chunk in chunks:
        if not job.overwrite_columns:
            check_free(f"{chunk.where(0)} and the rows after it" if len(chunk) else "", chunk.columns, added)
        usable = without_wrong_rows(chunk, job)
        yield usable, None if reader is None else reader.before(usable, texts_of(usable, job))


def texts_of(chunk: Chunk, job: Job) -> list[str]:
    """The texts of the rows."""
    return [text_of(value) or "" for value in chunk.columns.get(job.text_column) or [None] * len(chunk)]


def open_input(file: ScoredFile, job: Job) -> Table:
    """The file as a table."""
    return open_table([storage_of(file.source.path).source(file.source.path)], job.reading)


def check_columns(table: Table, job: Job, added: Sequence[str]) -> None:
    """The columns that are named must be there, and the names of the added ones free."""
    for option, name in job.named.items():
        if name not in table.columns:
            raise DataFormatError(
                f"{table.name} has no column '{name}' (columns: {', '.join(table.columns) or 'none'}).",
                hint=f"Name the column with --{option}.",
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


def without_wrong_rows(chunk: Chunk, job: Job) -> Chunk:
    """The chunk without the rows whose text is no text, or whose language is none; an error where not tolerant."""
    wrong = _wrong_rows(chunk, job)
    if not wrong:
        return chunk
    if not job.reading.tolerant:
        first = min(wrong)
        raise DataFormatError(f"{chunk.where(first)}: {wrong[first].reason}.")
    kept = [row for row in range(len(chunk)) if row not in wrong]
    columns = {name: [column[row] for row in kept] for name, column in chunk.columns.items()}
    return replace(
        chunk, columns=columns, numbers=[chunk.numbers[row] for row in kept],
        json=None if chunk.json is None else [chunk.json[row] for row in kept],
        arrow=None if chunk.arrow is None else chunk.arrow.take(np.array(kept, np.int64)),
        bad=sorted([*chunk.bad, *wrong.values()], key=lambda row: row.number),
    )  # fmt: skip


def _wrong_rows(chunk: Chunk, job: Job) -> dict[int, BadRow]:
    texts = chunk.columns.get(job.text_column) or ()
    found = {row: (reason, text) for row, text in enumerate(texts) if (reason := why_no_text(text))}
    if job.language_column is not None:
        for row, value in enumerate(chunk.columns.get(job.language_column) or ()):
            try:
                code_in(value)
            except InvalidInputError as error:
                found.setdefault(row, (f"column '{job.language_column}': {error.message.rstrip('.')}", value))
    return {
        row: BadRow(chunk.numbers[row], reason, encodable(to_text(content)[:MOST_CONTENT]))
        for row, (reason, content) in found.items()
    }


def code_in(value: Any) -> str | None:
    """The language in a cell; None where it is empty.

    Raises:
        InvalidInputError: for what is no code.
    """
    return _code(name_in(value))


@lru_cache(maxsize=1024)
def _code(word: str) -> str | None:
    return language_code(word) if word else None
