"""Predict a whole table: rows are read, predicted and written some at a time, so memory does not grow with the file."""

from __future__ import annotations

import contextlib
import gzip
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from serving.text_checks import TextChecks
from shared.cli import is_terminal
from shared.errors import ConfigError, DataFormatError
from shared.tables import STDIN, Chunk, Table
from shared.tables.options import FORMATS, Format
from shared.tables.values import to_text
from shared.tables.writing import WRITTEN, open_writer
from shared.text import normalise

if TYPE_CHECKING:
    from serving.predictor import Predictor

PREDICTED = "predicted_labels"
"""Column of the labels decided for a row."""
CHUNK_ROWS = 4096
"""Rows predicted together, in batches of similar length."""
PROGRESS_S = 0.5


@dataclass
class Progress:
    """How far the rows have come; shown on a terminal alone."""

    rows: int = 0
    empty: int = 0
    started_s: float = 0.0
    shown_s: float = 0.0

    def show(self, share: float | None) -> None:
        """Draw the line again, at most twice a second."""
        now = time.monotonic()
        if not is_terminal() or now - self.shown_s < PROGRESS_S:
            return
        self.shown_s = now
        rate = self.rows / max(now - self.started_s, 1e-9)
        done = f", {share:.0%} of the input" if share is not None else ""
        sys.stderr.write(f"\r{self.rows:,} rows{done}, {rate:,.0f} rows/s\033[K")
        sys.stderr.flush()


def output_format(path: str, said: Format | None) -> Format:
    """The format to write: that of the output's suffix, or the one said for standard output.

    Raises:
        ConfigError: when it is unknown or cannot be written.
    """
    suffix = Path(path.lower().removesuffix(".gz")).suffix
    found = said if path == STDIN else FORMATS.get(suffix)
    if found in WRITTEN:
        return found
    if path == STDIN:
        raise ConfigError("the format of standard output is not known.", hint=f"Give --format: {', '.join(WRITTEN)}.")
    allowed = ", ".join(suffix for suffix, form in FORMATS.items() if form in WRITTEN)
    raise ConfigError(f"cannot tell the format of {path}, or not write it.", hint=f"Name it with one of {allowed}.")


def predict_table(
    predictor: Predictor,
    table: Table,
    output: str,
    form: Format,
    *,
    text_column: str,
    policy: str | None = None,
    overwrite_columns: bool = False,
    segments: Literal["sentence", "paragraph"] | None = None,
) -> str:
    """Write the rows of `table` with their labels and probabilities; a text that is empty or null has none.

    The output is whole or absent: rows go to `OUTPUT.partial` first. When it is stopped (Ctrl-C, SIGTERM), or a later
    row cannot be read, the rows predicted so far stay there, complete and valid.

    Args:
        predictor: the model.
        table: the rows.
        output: a file, or "-" for standard output.
        form: of the output.
        text_column: the column of the texts.
        policy: name of the decision policy; the bundle's default when None.
        segments: read each of them by itself, whole; the columns are of the text that is put together from them.
        overwrite_columns: whether columns of the table that have the names of the added ones are replaced.

    Returns:
        What was done, in one line.

    Raises:
        DataFormatError: when the text column is missing, a row cannot be read or a text is no text.
        ConfigError: when the table has columns of the names that are added.
        KeyboardInterrupt: when it was stopped.
    """
    if text_column not in table.columns:
        raise DataFormatError(
            f"{table.name} has no column '{text_column}' (columns: {', '.join(table.columns) or 'none'}).",
            hint="Name the column with --text_column.",
        )
    added = [PREDICTED, *(f"p_{name}" for name in predictor.labels)]
    drop = added if overwrite_columns else ()
    if not overwrite_columns:
        _check_free(table.name, table.columns, added)
    progress, checks = Progress(started_s=time.monotonic()), TextChecks(predictor.bundle)
    with _opened(output, progress) as stream:
        writer = open_writer(stream, form, table, added, lists=[PREDICTED], drop=drop)
        for note in (*table.notes, *getattr(writer, "notes", ())):
            sys.stderr.write(f"note: {note}\n")
        with _Stoppable() as stoppable:
            try:
                for chunk in table.chunks(CHUNK_ROWS):
                    if not overwrite_columns:
                        _check_free(f"{chunk.where(0)} and the rows after it", chunk.columns, added)
                    columns, empty = _predicted(
                        predictor, chunk, text_column, policy, added, checks=checks, segments=segments
                    )
                    with stoppable.held():
                        writer.write(chunk, columns)
                        progress.rows += len(chunk)
                        progress.empty += empty
                    progress.show(table.share_read())
            finally:
                with stoppable.held():
                    writer.close()
    if is_terminal():
        sys.stderr.write("\r\033[K")
    note = f" ({progress.empty:,} empty texts have no prediction)" if progress.empty else ""
    where = "standard output" if output == STDIN else output
    return f"{progress.rows:,} rows written to {where}{note}; {predictor.precision}, {predictor.provider}"


def _check_free(where: str, columns: Mapping[str, Any] | Sequence[str], added: Sequence[str]) -> None:
    taken = [name for name in added if name in columns]
    if taken:
        raise ConfigError(
            f"{where} has the column{'s' if len(taken) > 1 else ''} {', '.join(taken[:5])} already.",
            hint="Rename them in the input, or replace them with --overwrite_columns.",
        )


def _predicted(
    predictor: Predictor, chunk: Chunk, text_column: str, policy: str | None, added: Sequence[str], *,
    checks: TextChecks, segments: Literal["sentence", "paragraph"] | None,
) -> tuple[dict[str, list[Any]], int]:  # fmt: skip
    """The added columns of a chunk, and how many of its texts are empty."""
    values = chunk.columns.get(text_column) or [None] * len(chunk)
    texts = [_text(value, chunk, row) for row, value in enumerate(values)]
    usable = [row for row, text in enumerate(texts) if normalise(text)]
    if segments is None:
        probabilities = predictor.probabilities(predictor.logits([texts[row] for row in usable]))
        decisions = predictor.policies.decide(probabilities, policy)
    else:
        probabilities, decisions = _by_segments(predictor, checks, [texts[row] for row in usable], policy, segments)
    decided = predictor.bundle.label_set.names_of(decisions)
    place_of = dict(zip(usable, range(len(usable)), strict=True))
    places = [place_of.get(row) for row in range(len(texts))]
    labels = [[] if place is None else list(decided[place]) for place in places]
    columns = [[None if place is None else column[place] for place in places] for column in probabilities.T.tolist()]
    return dict(zip(added, [labels, *columns], strict=True)), len(texts) - len(usable)


def _by_segments(
    predictor: Predictor, checks: TextChecks, texts: Sequence[str], policy: str | None,
    segments: Literal["sentence", "paragraph"],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:  # fmt: skip
    """Probabilities and decisions of texts put together from their segments, both of shape (N, L)."""
    from serving.http.schemas import PredictRequest  # noqa: PLC0415
    from serving.local_reading import read_here  # noqa: PLC0415

    request = PredictRequest(texts=[""], policy=policy, segments=segments)
    found = read_here(predictor, checks, texts, request, predictor.bundle)
    shape = (len(texts), len(predictor.labels))
    rows = [reading.row.probabilities for reading in found if reading.row is not None]
    decided = [reading.decided for reading in found if reading.decided is not None]
    return np.array(rows).reshape(shape), np.array(decided, dtype=np.bool_).reshape(shape)


def _text(value: Any, chunk: Chunk, row: int) -> str:
    if isinstance(value, (list, dict, bytes)):
        raise DataFormatError(f"{chunk.where(row)}: the text is {to_text(value)[:60]!r}, which is no text.")
    return to_text(value)


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
        if target.suffix.lower() != ".gz":
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
