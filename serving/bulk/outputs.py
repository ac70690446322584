"""The state of a run on disk or on object storage: parts that are done, and outputs put together from them.

    OUTPUT/.emotion/lock             which process is at work here, while it is
    OUTPUT/.emotion/run.json         what the outputs depend on besides their inputs
    OUTPUT/.emotion/FILE/input.json  the input of an output: path, size, version
    OUTPUT/.emotion/FILE/part-...    number, rows, empty texts and bad rows of a part are in its name
    OUTPUT/.emotion/FILE/bad-...     the bad rows of a part
    OUTPUT/.emotion/FILE/try-...     a part was begun, where actors on other machines may be lost with it
    OUTPUT/.emotion/FILE/done.json   the output is complete; its parts are gone

Every file is written whole or not at all, so that a process may be killed at any moment. For a single output file F the
folder is F.partial, and it goes when F is there.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from serving.bulk.job import BAD_SUFFIX, STATE_FOLDER, ScoredFile, differences
from serving.bulk.layout import Layout
from serving.bulk.reading import Part
from serving.bulk.scoring import ScoredPart
from shared.errors import ConfigError, DataFormatError, LockedError
from shared.storage import Lock, join, storage_of, whole_path

LOCK = "lock"
_PART = re.compile(r"part-(\d+)-(\d+)-(\d+)-(\d+)")


@dataclass(frozen=True)
class PartRecord:
    """What there is to count in a part that is done."""

    number: int
    rows: int
    empty: int
    bad: int


class RunState:
    """The folder of a run.

    Args:
        output: the folder of the outputs, or the single one.
        single: whether it is a single one.
    """

    def __init__(self, output: str, *, single: bool) -> None:
        self.path = f"{output}.partial" if single else join(output, STATE_FOLDER)
        self.single, self.taken_up = single, False
        self._output = output
        self._store = storage_of(output)
        self._lock: Lock | None = None

    def begin(self, identity: dict[str, Any], *, restart: bool) -> dict[str, Any]:
        """Take up the run that was begun here, or begin one; no other process has its output until `release`.

        Returns:
            The identity, with the rows of a part of the run that is taken up.

        Raises:
            LockedError: when another process is at work here.
            ConfigError: when another one was begun here, or a file of that name is in the way.
        """
        if self._store.exists(self.path):
            with contextlib.closing(hold(self._output, f"{self.path}.lock")):  # a run over a pipe may be at work
                if not restart:
                    raise ConfigError(
                        f"{self.path} is a file, which holds the rows of a run that was stopped.",
                        hint="Move it away, or give --restart to throw it away.",
                    )
                self._store.remove(self.path)
        self._lock = hold(self._output, join(self.path, LOCK))
        with self.released_on_error():
            return self._take_up(identity, restart=restart)

    @contextlib.contextmanager
    def released_on_error(self) -> Iterator[None]:
        """Let other processes have the output where the block fails."""
        try:
            yield
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let other processes have the output."""
        if self._lock is not None:
            self._lock.close()

    def _take_up(self, identity: dict[str, Any], *, restart: bool) -> dict[str, Any]:
        if restart:
            for name in self._store.names(self.path):
                if name != LOCK:
                    self._store.remove(join(self.path, name))
        before = read_object(self._store, join(self.path, "run.json"))
        if before is None:
            write_object(self._store, join(self.path, "run.json"), identity, self.path)
        self.taken_up = before is not None
        if before is not None:
            identity = identity | {"part_rows": before["part_rows"]}
        if before not in (None, identity):
            raise ConfigError(
                f"{self.path} holds the work of another run ({differences(identity, before)}).",
                hint="Name another output, or give --restart to throw that work away.",
            )
        return identity

    def end(self, *, unused: bool = False) -> None:
        """Remove what nobody needs any more: all of it, of a single output or where nothing is done."""
        if self.single or unused:
            self._store.remove(self.path)

    def has_work(self) -> bool:
        """Whether anything is done that a further run takes up."""
        return not {*self._store.names(self.path)} <= {LOCK, "run.json"}


def hold(output: str, path: str) -> Lock:
    """The lock of an output; a note says where there is none.

    Args:
        output: for messages.
        path: of the file that is locked.

    Raises:
        LockedError: when another process is at work on it.
    """
    try:
        lock = storage_of(path).lock(path)
    except LockedError as error:
        raise LockedError(
            f"{output} is being written by another run ({error}).",
            hint="Wait until it ends, or end it; the same command then goes on from what it has done.",
        ) from None
    if not lock.held:
        sys.stderr.write(f"note: {output} cannot be locked: let no other run write to it meanwhile\n")
    return lock


class FileState:
    """The parts of one output.

    Args:
        run: the folder of the run.
        file: the input and its output.
    """

    def __init__(self, run: RunState, file: ScoredFile) -> None:
        self.file, self.path = file, join(run.path, file.state_name)
        self._input = file.version()  # here, as other machines may follow other links
        self._scratch = self.path
        self._store = storage_of(self.path)

    def done(self) -> dict[str, Any] | None:
        """What was counted when the output was completed; None where it is not, or its input has changed since."""
        found = read_object(self._store, join(self.path, "done.json"))
        current = found is not None and self._is_input(found["input"]) and self._store.exists(self.file.target)
        return found if current else None

    def _is_input(self, before: dict[str, Any]) -> bool:
        """Whether an input that was noted is this one; earlier versions noted its path as it was spelt."""
        return self._input in (before, before | {"source": whole_path(before["source"])})

    def check_input(self) -> None:
        """Refuse to go on from parts of another state of the input.

        Raises:
            ConfigError: saying what differs.
        """
        before = read_object(self._store, join(self.path, "input.json"))
        rows = sum(record.rows for record in self.parts().values())
        if before is not None and rows and not self._is_input(before):
            raise ConfigError(
                f"{self.file.target} was begun with another state of {self.file.source.path} "
                f"({differences(self._input, before)}), and {rows:,} rows of it are kept.",
                hint="Name another output, or give --restart to throw them away.",
            )

    def drop_outdated(self) -> int:
        """Throw away what was done of another state of the input, or of an output that is gone; its number of rows."""
        found = read_object(self._store, join(self.path, "done.json"))
        before = read_object(self._store, join(self.path, "input.json"))
        if found is None and (before is None or self._is_input(before)):
            return 0
        rows = sum(record.rows for record in self.parts().values()) if found is None else int(found["rows"])
        self._store.remove(self.path)
        return rows

    def begin(self) -> None:
        """Note which state of the input the parts belong to."""
        if read_object(self._store, join(self.path, "input.json")) is None:
            write_object(self._store, join(self.path, "input.json"), self._input, self.path)
        before = [name for name in self._store.names(self.path) if name.startswith("try-")]
        self._store.remove_files([join(self.path, name) for name in before])

    def attempt(self, number: int, most: int) -> bool:
        """Note that a part is begun; whether that is one of the first `most` times."""
        for name in (f"try-{number:06d}-{time}" for time in range(most)):
            if not self._store.exists(join(self.path, name)):
                write_object(self._store, join(self.path, name), {}, self.path)
                return True
        return False

    def parts(self) -> dict[int, PartRecord]:
        """Number -> what is in each part that is done."""
        found = {}
        for name in self._store.names(self.path):
            if match := _PART.fullmatch(name):
                record = PartRecord(*map(int, match.groups()))
                found[record.number] = record
        return found

    def write(self, part: Part, scored: ScoredPart) -> PartRecord:
        """Keep a part."""
        record = PartRecord(part.number, scored.rows, scored.empty, len(part.chunk.bad))
        if part.chunk.bad:
            lines = "".join(self._bad_line(part, row) for row in part.chunk.bad)
            self._put(_bad_name(part.number), lines.encode())
        name = f"part-{record.number:06d}-{record.rows}-{record.empty}-{record.bad}"
        self._put(name, scored.body)
        return record

    def _put(self, name: str, content: bytes) -> None:
        self._store.write(join(self.path, name), self._scratch, lambda stream: stream.write(content))

    def _bad_line(self, part: Part, row: Any) -> str:
        content = {"file": part.chunk.name, part.chunk.unit: row.number, "reason": row.reason, "content": row.content}
        return json.dumps(content, ensure_ascii=False) + "\n"

    def complete(self, layout: Layout, num_parts: int, model: str) -> dict[str, Any]:
        """Put the output together from its parts, then the file of bad rows beside it, then let go of the parts.

        Raises:
            DataFormatError: when the input has changed since the first part was read.
        """
        if completed := self.done():  # by an attempt that was lost before it could say so
            return completed
        records = self.parts()
        if sorted(records) != list(range(num_parts)) or self._changed():
            self._store.remove(self.path)
            raise DataFormatError(f"{self.file.source.path} changed while it was scored.", hint="Run it again.")
        counted = {name: sum(getattr(row, name) for row in records.values()) for name in ("rows", "empty", "bad")}
        ordered = [records[number] for number in range(num_parts)]
        self._write_bad([row for row in ordered if row.bad])
        self._store.write(
            self.file.target, self._scratch, lambda stream: layout.assemble(stream, self._opened(ordered))
        )
        found = {"input": self._input, **counted, "model": model}
        write_object(self._store, join(self.path, "done.json"), found, self._scratch)
        left = [name for name in self._store.names(self.path) if name != "done.json"]
        self._store.remove_files([join(self.path, name) for name in left])
        return found

    def _changed(self) -> bool:
        found = storage_of(self.file.source.path).find(self.file.source.path)
        return [(file.size, file.version) for file in found] != [(self.file.source.size, self.file.source.version)]

    def _opened(self, records: Sequence[PartRecord]) -> Iterator[BinaryIO]:
        for record in records:
            name = f"part-{record.number:06d}-{record.rows}-{record.empty}-{record.bad}"
            with self._store.open(join(self.path, name)) as stream:
                yield stream

    def _write_bad(self, records: Sequence[PartRecord]) -> None:
        target = f"{self.file.target}{BAD_SUFFIX}"
        if not records:
            self._store.remove(target)  # of an earlier run
            return

        def fill(stream: BinaryIO) -> None:
            for record in records:
                with self._store.open(join(self.path, _bad_name(record.number))) as bad:
                    shutil.copyfileobj(bad, stream)

        self._store.write(target, self._scratch, fill)


def _bad_name(number: int) -> str:
    return f"bad-{number:06d}"


def read_object(store: Any, path: str) -> dict[str, Any] | None:
    """A JSON object; None where it is not there."""
    with contextlib.suppress(FileNotFoundError), store.open(path) as stream:
        found: dict[str, Any] = json.loads(stream.read())
        return found
    return None


def write_object(store: Any, path: str, content: dict[str, Any], scratch: str) -> None:
    """Write a JSON object whole."""
    encoded = json.dumps(content, indent=1, ensure_ascii=False).encode()
    store.write(path, scratch, lambda stream: stream.write(encoded))
