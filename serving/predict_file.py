"""Predict a table that is piped in or out: some rows at a time, in order, in constant memory.

Other files are scored by `serving.bulk`, which several processes share and which can be resumed.
"""

from __future__ import annotations

import contextlib
import gzip
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from serving.bulk.job import PREDICTED, decision_notes
from serving.bulk.outputs import hold
from serving.bulk.reading import check_columns, read_rows
from serving.bulk.scoring import Scorer
from serving.progress import Progress
from shared.errors import ConfigError
from shared.tables import STDIN, Table
from shared.tables.options import Format, is_packed
from shared.tables.writing import WRITTEN, open_writer, written_format

CHUNK_ROWS = 4096
"""Rows predicted together, in batches of similar length."""


def output_format(path: str, said: Format) -> Format:
    """The format to write: that of the output's suffix, or the one said for standard output.

    Raises:
        ConfigError: when it is unknown or cannot be written.
    """
    if path != STDIN:
        return written_format(path)
    if said in WRITTEN:
        return said
    raise ConfigError(f"standard output is not written as {said}.", hint=f"Give --output_format: {', '.join(WRITTEN)}.")


def predict_table(scorer: Scorer, table: Table, output: str, form: Format) -> str:
    """Write the rows of `table` with their labels and probabilities; a text that is empty or null has none.

    A named output is whole or absent: rows go to `OUTPUT.partial` first. When it is stopped (Ctrl-C, SIGTERM), or a
    later row cannot be read, the rows predicted so far stay there, complete and valid.

    Args:
        scorer: the model, and how its job says.
        table: the rows.
        output: a file, or "-" for standard output.
        form: of the output.

    Returns:
        What was done, in one line.

    Raises:
        DataFormatError: when the text column is missing, a row cannot be read or a text is no text.
        ConfigError: when the table has columns of the names that are added.
        KeyboardInterrupt: when it was stopped.
    """
    job, added = replace(scorer.job, part_rows=CHUNK_ROWS), scorer.added
    notes = decision_notes(job, scorer.predictor.bundle)
    check_columns(table, job, added)
    drop = added if job.overwrite_columns else ()
    progress = Progress(started_s=time.monotonic())
    with _opened(output, progress) as stream:
        lists = [name for name in added if name == PREDICTED]
        writer = open_writer(stream, form, table, added, lists=lists, drop=drop)
        shown = _show_notes((*notes, *table.notes, *writer.notes), ())
        with _Stoppable() as stoppable:
            try:
                for chunk, turns in read_rows(table, job, added):
                    prepared = scorer.prepare(chunk, turns)
                    columns = scorer.columns(prepared)
                    with stoppable.held():
                        writer.write(chunk, columns)
                        progress.rows += len(chunk)
                        progress.empty += len(chunk) - len(prepared.usable)
                    shown = _show_notes(writer.notes, shown)
                    progress.show(table.share_read())
            finally:
                with stoppable.held():
                    writer.close()
    progress.clear()
    note = f" ({progress.empty:,} empty texts have no prediction)" if progress.empty else ""
    where = "standard output" if output == STDIN else output
    return f"{progress.rows:,} rows written to {where}{note}; {scorer.model}"


def _show_notes(notes: Sequence[str], shown: Sequence[str]) -> Sequence[str]:
    """All notes that have been shown, once those are that had not been."""
    new = [note for note in notes if note not in shown]
    sys.stderr.write("".join(f"note: {note}\n" for note in new))
    return [*shown, *new]


@contextlib.contextmanager
def _opened(output: str, progress: Progress) -> Iterator[BinaryIO]:
    """Where rows are written: standard output, or `OUTPUT.partial`, which takes the name when all is written."""
    if output == STDIN:
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except KeyboardInterrupt:
            sys.stderr.write(f"{progress.rows:,} rows were predicted and written\n")
            raise
        return
    target = Path(output)
    partial = target.with_name(f"{target.name}.partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    if partial.is_dir():
        raise ConfigError(
            f"{partial} holds the work of a run over files that was stopped.", hint="Finish that run, or remove it."
        )
    with contextlib.closing(hold(output, f"{partial}.lock")):
        try:
            with _packed(partial, target) as stream:
                yield stream
        except BaseException:
            if progress.rows == 0:
                partial.unlink(missing_ok=True)
            else:
                sys.stderr.write(f"{progress.rows:,} rows were predicted; they are complete in {partial}\n")
            raise
        partial.replace(target)


@contextlib.contextmanager
def _packed(partial: Path, target: Path) -> Iterator[BinaryIO]:
    """The file to write, compressed where its name says so."""
    with partial.open("wb") as raw:
        if not is_packed(target.name):
            yield cast(BinaryIO, raw)
            return
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
            yield cast(BinaryIO, packed)


class _Stoppable:
    """SIGINT and SIGTERM stop between two writes, never within one: what is written is whole rows."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._writing = self._asked = False

    def __enter__(self) -> _Stoppable:
        if threading.current_thread() is threading.main_thread():
            for kind in (signal.SIGINT, signal.SIGTERM):
                self._before[kind] = signal.signal(kind, self._stop)
        return self

    def __exit__(self, *error: object) -> None:
        for kind, handler in self._before.items():
            signal.signal(kind, handler)

    def _stop(self, number: int, frame: object) -> None:
        if self._writing:
            self._asked = True
            return
        raise KeyboardInterrupt

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Put a stop off until the block has ended."""
        self._writing = True
        try:
            yield
        finally:
            self._writing = False
        if self._asked:
            self._asked = False
            raise KeyboardInterrupt
