"""A run over files: what is done already is left out, the rest is read, scored and put together, file by file."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from serving.bulk.job import BAD_SUFFIX, Job, ScoredFile, check_decisions, decision_notes, find_files
from serving.bulk.outputs import FileState, PartRecord, RunState
from serving.bulk.reading import FileEnd, Part, check_columns, open_input, read_parts
from serving.exported import choose_model
from serving.progress import Progress
from serving.providers import CPU, PROVIDERS, resolve_provider
from shared.bundle import Bundle
from shared.cli import default_threads
from shared.errors import DataError, DataFormatError
from shared.tables import Format, Table
from shared.tables.options import COMPRESSED, is_packed, named_format

PARTS = 64
"""Of a run, if they are not too small: each of many processes then has several, and few are idle at the end."""
SMALLEST_PART = 1024
"""Rows; in fewer, padding costs more than evenly busy processes gain (docs/bulk.md)."""
ROW_BYTES, PACKED_ROW_BYTES = 100, 40
"""What a row of a table of comments has, as text and compressed."""


@dataclass
class Counts:
    """What there is to say at the end."""

    rows: int = 0
    empty: int = 0
    bad: int = 0
    files: int = 0
    before: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, done: dict[str, Any]) -> None:
        """Count a file."""
        self.files += 1
        self.rows, self.empty, self.bad = (
            self.rows + done["rows"], self.empty + done["empty"], self.bad + done["bad"]
        )  # fmt: skip


class Run:
    """Files, their states and counts.

    Args:
        job: how they are scored.
        inputs: see `find_files`.
        output: see there.
        form: of the outputs.
        restart: whether what an earlier run has done is thrown away.
        here: whether this machine scores; else the provider is taken as it is said.

    Raises:
        EmotionError: for inputs, outputs or a bundle that cannot be used; nothing has been scored then.
    """

    def __init__(
        self,
        job: Job,
        inputs: Sequence[str],
        output: str,
        *,
        form: Format | None = None,
        restart: bool = False,
        here: bool = True,
    ) -> None:
        self.output = output
        found = find_files(inputs, output, job.reading, form)
        self.files, single, self.passed_over = found.files, found.single, found.no_tables
        self.state = RunState(output, single=single)
        self.tables: dict[int, Table] = {}
        if single:
            self.tables[0] = open_input(self.files[0], job)
        bundle = Bundle.read(job.bundle, weights=False).with_profile(job.profile)
        check_decisions(bundle, policy=job.policy, segments=job.segments, language_column=job.language_column)
        notes = decision_notes(job, bundle)
        job = replace(job, graded=bundle.readout is not None)
        provider = resolve_provider(job.provider) if here else PROVIDERS[job.provider or "cpu"]
        if provider == CPU:  # a GPU is one process's, and best with large batches
            job = replace(job, part_rows=min(job.part_rows, part_rows(self.files)))
        self.model = f"{choose_model(bundle, precision=job.precision, provider=provider).precision}, {provider}"
        self.labels = bundle.manifest.labels
        for table in self.tables.values():
            check_columns(table, job, job.added(self.labels))
        written = self.files[0].form if single else form
        taken_up = self.state.begin(job.identity(bundle.seal, self.model, written), restart=restart)
        self.job = replace(job, part_rows=taken_up["part_rows"])
        self.states = [FileState(self.state, file) for file in self.files]
        if single:
            with self.state.released_on_error():
                self.states[0].check_input()
        self.counts, self.progress = Counts(), Progress(started_s=time.monotonic())
        self._total = sum(file.source.size for file in self.files)
        self._shares = [0.0] * len(self.files)
        self._read = 0.0
        self._arrived: dict[int, set[int]] = {}
        self._ends: dict[int, FileEnd] = {}
        self._noted: set[str] = set()
        if found.outputs:
            notes.append(f"{found.outputs:,} files among the inputs are outputs of an earlier run, and are passed over")
        self.note(notes)

    def unfinished(self) -> list[int]:
        """Numbers of the files whose outputs are not complete; the others are counted."""
        found, outdated = [], 0
        for number, state in enumerate(self.states):
            if done := state.done():
                self.counts.add(done)
                self.counts.before += 1
                self._at(number, 1.0)
            else:
                outdated += state.drop_outdated()
                found.append(number)
        if outdated:
            self.note(
                [f"{outdated:,} rows are scored again: their files have changed since, or their outputs are gone"]
            )
        return found

    def parts(self) -> Iterator[Part]:
        """All parts that are not done, file by file; a file that cannot be read is noted, and the run goes on."""
        for number in self.unfinished():
            records = self.begin_file(number)
            try:
                file, table = self.files[number], self.tables.pop(number, None)
                for found in read_parts(number, file, self.job, self.labels, done=records, table=table):
                    self.note(found.layout.notes)
                    if isinstance(found, Part):
                        self._at(number, found.share)
                        yield found
                    else:
                        self.read_to_end(found)
            except DataError as error:
                self.fail(error)

    def begin_file(self, number: int) -> dict[int, PartRecord]:
        """The parts of a file that are done already, by their numbers."""
        self.states[number].begin()
        records = self.states[number].parts()
        self.progress.before += (before := sum(record.rows for record in records.values()))
        self.progress.rows += before
        self._arrived[number] = set(records)
        return records

    def fail(self, error: DataError) -> None:
        """Note a file that cannot be read; raise, where it is the only one."""
        if self.state.single:
            raise error
        self.counts.problems.append(str(error))

    def read_to_end(self, end: FileEnd) -> None:
        """All parts of a file are known; it is completed where all are done."""
        self._ends[end.file] = end
        self._complete_if_done(end.file)

    def part_done(self, number: int, record: PartRecord) -> None:
        """A part has been written."""
        self.progress.rows += record.rows
        self._arrived[number].add(record.number)
        self._complete_if_done(number)

    def _complete_if_done(self, number: int) -> None:
        if number in self._ends and len(self._arrived[number]) == self._ends[number].parts:
            self.complete(self.states[number], self._ends.pop(number))

    def complete(self, state: FileState, end: FileEnd) -> None:
        """Put an output together from its parts."""
        self.completed(end.file, state.complete(end.layout, end.parts, self.model))

    def completed(self, number: int, counted: dict[str, Any]) -> None:
        """An output is there."""
        self.counts.add(counted)
        self._at(number, 1.0)

    def _at(self, number: int, share: float) -> None:
        """So much of a file is read; the sum over all files is kept, as there may be many."""
        self._read += self.files[number].source.size * (share - self._shares[number])
        self._shares[number] = share

    def note(self, notes: Sequence[str]) -> None:
        """Show choices that were made while reading, each once."""
        for note in notes:
            if note not in self._noted:
                self._noted.add(note)
                sys.stderr.write(f"note: {note}\n")

    def show_progress(self) -> None:
        """Draw the line of progress anew, on a terminal."""
        self.progress.show(self._read / self._total if self._total else None, self.counts.files, len(self.files))

    @contextlib.contextmanager
    def resumable(self) -> Iterator[None]:
        """What goes wrong within the block leaves what is done, and says so; SIGTERM is as Ctrl-C."""
        try:
            with _sigterm_interrupts():
                yield
        except BaseException:
            self.progress.clear()
            rows = sum(record.rows for state in self.states for record in state.parts().values()) + self.counts.rows
            if self.state.has_work() and rows:
                sys.stderr.write(
                    f"{rows:,} rows are done and kept in {self.state.path}; the same command goes on from there\n"
                )
            elif self.state.single or not self.state.taken_up:  # or what was complete before might not be counted yet
                self.state.end(unused=True)
            raise
        finally:
            self.state.release()

    def finish(self) -> str:
        """What was done, in a line.

        Raises:
            DataFormatError: when files could not be read.
        """
        self.progress.clear()
        counts = self.counts
        if counts.problems:
            raise DataFormatError(
                f"{len(counts.problems)} of {len(self.files)} files could not be scored, {counts.files} were: "
                f"{' '.join(counts.problems[:5])}",
                hint="The same command tries them again.",
            )
        self.state.end()
        several = "" if self.state.single else f" from {len(self.files):,} files"
        line = f"{counts.rows:,} rows{several} written to {self.output}"
        if counts.empty:
            line += f" ({counts.empty:,} empty texts have no prediction)"
        if counts.bad:
            line += f"; {counts.bad:,} bad rows left out, with the reasons in *{BAD_SUFFIX}"
        if counts.before:
            line += f"; {counts.before:,} files were complete before"
        if self.passed_over:
            line += f"; {self.passed_over:,} files that are no tables passed over"
        return f"{line}; {self.model}"


def part_rows(files: Sequence[ScoredFile]) -> int:
    """Rows of a part, by a guess at the rows of all files; the same however many processes there are."""
    sizes = [file.source.size / (PACKED_ROW_BYTES if _is_compressed(file) else ROW_BYTES) for file in files]
    wanted = int(sum(sizes) / PARTS)
    return max(SMALLEST_PART, 1 << max(0, wanted.bit_length() - 1))


def _is_compressed(file: ScoredFile) -> bool:
    return is_packed(file.source.path) or named_format(file.source.path) in COMPRESSED


def default_processes(job: Job) -> int:
    """One a core; on CUDA one, as they would share the device."""
    return default_threads() if resolve_provider(job.provider) == CPU else 1


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
