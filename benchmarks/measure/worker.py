"""A call that is made in a process of its own: contenders that share no allocator can still take turns."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from benchmarks.measure.rounds import Call

_CALL, _CPU, _END = "call", "cpu", "end"


class WorkerError(RuntimeError):
    """What went wrong in a worker, in its words."""


class Worker:
    """Calling it makes the call there, and waits for its end.

    Args:
        make: run in the new process, gives the call; it must be picklable.

    Raises:
        WorkerError: when `make`, or later the call, raises there.
    """

    def __init__(self, make: Callable[[], Call]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(make, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.send(_END)
        self._process.join()

    def __call__(self) -> None:
        """Make the call."""
        self._ask(_CALL)

    def cpu_s(self) -> float:
        """Seconds of processor time the process has taken so far."""
        return float(self._ask(_CPU))

    def _ask(self, what: str) -> Any:
        self._pipe.send(what)
        return self._receive()

    def _receive(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise WorkerError("the process ended without an answer.") from None
        if isinstance(answer, WorkerError):
            raise answer
        return answer


def _serve(make: Callable[[], Call], pipe: Connection) -> None:
    """The life of the process: make the call as often as it is asked to."""
    with pipe:
        try:
            call = make()
            pipe.send(None)
            while (asked := pipe.recv()) != _END:
                if asked == _CALL:
                    call()
                pipe.send(time.process_time())
        except Exception as error:  # whatever it was, the other side must hear of it
            pipe.send(WorkerError(f"{type(error).__name__}: {error}"))
