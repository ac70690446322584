"""Processes that score parts: kept busy, replaced when they die, the part they had in hand given out again."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from serving.bulk.job import Job
from serving.bulk.reading import Part
from serving.bulk.scoring import ScoredPart
from serving.worker.command import environment
from shared.errors import EmotionError
from shared.files import known_digests

MODULE = "serving.bulk.worker"
DEPTH = 2
"""Parts a process has: one that is scored, one that is tokenised meanwhile."""
MOST_DEATHS = 3
"""A part that ends so many processes ends the run."""
WAIT_S = 0.5
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Memory in pages of 2 MB, where Linux gives them to who asks: a model reads faster from them (docs/bulk.md)."""


class WorkerDiedError(EmotionError):
    """A part has ended a process again and again."""


@dataclass
class _Worker:
    """A process and the parts it was given, the oldest first."""

    process: subprocess.Popen[bytes]
    channel: Connection[Any, Any]
    parts: deque[Part] = field(default_factory=deque)
    model: str | None = None

    @property
    def doubtful(self) -> bool:
        """Whether it loads still."""
        return self.model is None


class Pool:
    """N processes with a bundle each; a context that ends them.

    Args:
        job: what they do.
        processes: how many.
        tick: called twice a second while they work.
    """

    def __init__(self, job: Job, processes: int, tick: Callable[[], None] = lambda: None) -> None:
        self._job, self._processes, self._tick = job, processes, tick
        self._workers: list[_Worker] = []
        self._again: deque[Part] = deque()
        self._deaths: dict[tuple[int, int], int] = {}
        self._failed_starts = 0
        self.model: str | None = None
        self.replaced = 0

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.process.kill()
            worker.channel.close()
        for worker in self._workers:
            worker.process.wait()

    def score(self, parts: Iterator[Part]) -> Iterator[tuple[Part, ScoredPart]]:
        """Every part with what became of it, in the order in which they are done.

        Raises:
            EmotionError: when the bundle cannot be loaded, or a part cannot be scored for what the user can fix.
            WorkerDiedError: when a part has ended several processes, or none starts.
        """
        exhausted = False
        while True:
            while not exhausted and (worker := self._idle()) is not None and not self._again:
                part = next(parts, None)
                exhausted = part is None
                if part is not None:
                    self._give(worker, part)
            self._give_again()
            busy = [worker for worker in self._workers if worker.parts]
            if not busy and not self._again:
                if exhausted:
                    return
                continue
            yield from self._answers()
            self._tick()

    def _idle(self) -> _Worker | None:
        """A process with room for a part; a further one is started while there are fewer than wanted."""
        free = [worker for worker in self._workers if len(worker.parts) < DEPTH and not self._is_suspect(worker)]
        found = min(free, key=lambda worker: len(worker.parts), default=None)
        if len(self._workers) < self._processes and (found is None or found.parts):
            found = self._start()
        return found

    def _is_suspect(self, worker: _Worker) -> bool:
        """Whether it works on a part that has ended a process before: alone, so that no other is blamed."""
        return any((part.file, part.number) in self._deaths for part in worker.parts)

    def _give_again(self) -> None:
        while self._again:
            idle = [worker for worker in self._workers if not worker.parts]
            if not idle and len(self._workers) < self._processes:
                idle = [self._start()]
            if not idle:
                return
            self._give(idle[0], self._again.popleft())

    def _give(self, worker: _Worker, part: Part) -> None:
        worker.parts.append(part)
        _send(worker.channel, part)

    def _answers(self) -> Iterator[tuple[Part, ScoredPart]]:
        by_channel = {worker.channel: worker for worker in self._workers}
        for channel in wait(list(by_channel), WAIT_S):
            worker = by_channel[channel]  # type: ignore[index]
            if worker not in self._workers:
                continue
            try:
                found = worker.channel.recv()
            except (EOFError, OSError):
                self._bury(worker)
                continue
            if isinstance(found, Exception):
                raise found
            if isinstance(found, str):
                worker.model, self._failed_starts = found, 0
                self.model = self.model or found
                continue
            part = next(part for part in worker.parts if (part.file, part.number) == (found.file, found.number))
            worker.parts.remove(part)
            yield part, found

    def _start(self) -> _Worker:
        ours, theirs = Pipe()
        # Ctrl-C goes to the whole group: a process that is still importing must not die of it with a traceback
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", MODULE, str(theirs.fileno())], pass_fds=[theirs.fileno()],
                env=worker_environment(), stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno() if _has_descriptor(sys.stderr) else None,
            )  # fmt: skip
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        _send(ours, (self._job, known_digests()))
        return worker

    def _bury(self, worker: _Worker) -> None:
        """Take the parts of a process that has died, and blame the one it had in hand.

        Raises:
            WorkerDiedError: when that is one too many.
        """
        if worker not in self._workers:
            return
        self._workers.remove(worker)
        worker.channel.close()
        worker.process.kill()
        code = worker.process.wait()
        self.replaced += 1
        if worker.doubtful:
            self._failed_starts += 1
            if self._failed_starts >= MOST_DEATHS:
                raise WorkerDiedError(
                    f"{self._failed_starts} processes ended before their model was loaded ({_described(code)})."
                )
        elif worker.parts:
            blamed = worker.parts[0]
            key = (blamed.file, blamed.number)
            self._deaths[key] = self._deaths.get(key, 0) + 1
            if self._deaths[key] >= MOST_DEATHS:
                raise WorkerDiedError(
                    f"{blamed.rows} ended {MOST_DEATHS} processes, one after the other ({_described(code)}).",
                    hint="What was done before is kept. Look at these rows, or for too little memory.",
                )
        self._again.extend(worker.parts)


def _send(channel: Connection[Any, Any], message: Any) -> None:
    """Send to a process; of one that has ended, its last words and its end are read by `_answers`."""
    with contextlib.suppress(OSError):
        channel.send(message)


def worker_environment() -> dict[str, str]:
    """Of a process; a user's own tunables stay."""
    return {**HUGE_PAGES, **environment()}


def _described(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _has_descriptor(stream: Any) -> bool:
    try:
        stream.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return True
