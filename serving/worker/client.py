"""Start a model's process, ask it, end it."""

from __future__ import annotations

import asyncio
import pickle
import signal
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.worker.ahead import AheadProcess
from serving.worker.command import COMMAND, environment
from serving.worker.wire import LOAD_TIMEOUT_S, Encode, Failed, Load, Loaded, Ping, Run, Tokens, packed, read
from shared.context import num_characters

CLOSE_TIMEOUT_S = 5.0
"""Time for a process to end by itself."""

REQUEST_TIMEOUT_S = 5.0
"""Time to answer a request, by default, where the model is not so slow that it needs more."""

SLOWEST_TIMES = 10.0
"""A model gets so many times what its longest text took when it was warmed up."""

TOKENISING_S_PER_CHARACTER = 1e-5
"""Ten times what it takes: a request of 4 MB needs seconds, and more on a busy machine."""

EXIT_WAIT_S = 1.0

LEAST_S = 0.01
"""For a model process that was ready at the last moment to say so."""


class ProcessLostError(Exception):
    """The process has ended, or its answers make no sense."""

    reason = "ended"
    """For metrics."""

    def __init__(self, message: str = "the process of the model has ended.") -> None:
        super().__init__(message)


class ProcessHungError(ProcessLostError):
    """The process did not answer in time and was killed."""

    reason = "hung"


class ModelProcess:
    """A process that runs one model; asked one thing at a time. Made by `start`."""

    def __init__(self, process: Process | AheadProcess, timeout_s: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._timeout_s = timeout_s
        self._requests, self._answers = process.stdin, process.stdout
        self.ended = asyncio.ensure_future(process.wait())
        self.loaded: Loaded

    @classmethod
    async def start(
        cls, load: Load, *, timeout_s: float = REQUEST_TIMEOUT_S, load_timeout_s: float = LOAD_TIMEOUT_S
    ) -> ModelProcess:
        """A process whose model is loaded and warm: one that the supervisor has started ahead, else a new one.

        It has `timeout_s` to answer a request, or more where the longest text takes more than a tenth of that.

        Raises:
            EmotionError: as `Predictor.load` does.
            OSError: when the bundle cannot be read.
            ProcessLostError: when it ended before it was ready, or was not within `load_timeout_s`.
        """
        began = time.monotonic()
        ahead = await AheadProcess.take(load_timeout_s)
        left_s = load_timeout_s - (time.monotonic() - began)
        if ahead is None and left_s <= 0:
            raise ProcessHungError(
                f"no model process that was started ahead has answered within {load_timeout_s:.1f} s"
            )
        process = ahead or await asyncio.create_subprocess_exec(*COMMAND, stdin=PIPE, stdout=PIPE, env=environment())
        own = cls(process, timeout_s)
        try:
            own.loaded = await own._ask(load, max(left_s, LEAST_S))
            own._timeout_s = max(timeout_s, SLOWEST_TIMES * own.loaded.slowest_s)
        except BaseException:
            await own.close()
            raise
        return own

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def encode(self, texts: Sequence[str], whole: Sequence[bool] = ()) -> list[Tokens]:
        """Token ids of N texts; those that `whole` marks are read in windows where they are long, the others cut.

        Raises:
            RuntimeError: when the tokenizer failed.
            ProcessLostError: when the process has ended.
        """
        characters = sum(num_characters(text) for text in texts)
        limit_s = self._timeout_s + TOKENISING_S_PER_CHARACTER * characters
        found: list[Tokens] = await self._ask(Encode(texts, whole or [False] * len(texts)), limit_s)
        return found

    async def run(self, rows: Sequence[Tokens]) -> NDArray[np.float64]:
        """Calibrated probabilities of one padded batch, shape (N, L).

        Raises:
            RuntimeError: when the model failed.
            ProcessLostError: when the process has ended.
        """
        found: NDArray[np.float64] = await self._ask(Run([row.ids for row in rows]))
        return found

    async def ping(self) -> None:
        """Whether it still answers.

        Raises:
            ProcessLostError: when it does not.
        """
        await self._ask(Ping())

    async def close(self) -> None:
        """End the process, which may finish what it is at."""
        self._requests.close()
        try:
            await asyncio.wait_for(asyncio.shield(self.ended), CLOSE_TIMEOUT_S)
        except TimeoutError:
            self._process.kill()
            await self.ended

    async def _ask(self, request: Any, timeout_s: float | None = None) -> Any:
        """The answer of the process, which is killed when it takes longer than it may.

        Raises:
            ProcessLostError: with its pid, and the signal or exit code it ended with.
            Exception: what the process answers has failed.
        """
        limit_s = timeout_s or self._timeout_s
        try:
            async with asyncio.timeout(limit_s):
                self._requests.write(packed(request))
                answer = await read(self._answers)
        except TimeoutError:
            self._process.kill()
            await self.ended
            raise ProcessHungError(
                f"model process {self.pid} did not answer a {type(request).__name__} within {limit_s:.1f} s: killed"
            ) from None
        except (asyncio.IncompleteReadError, OSError, pickle.UnpicklingError) as error:
            raise ProcessLostError(await self._describe_end()) from error
        if isinstance(answer, Failed):
            raise answer.error
        return answer

    async def _describe_end(self) -> str:
        await asyncio.wait({self.ended}, timeout=EXIT_WAIT_S)
        code = self._process.returncode
        if code is None:
            return f"model process {self.pid} has closed its output"
        if code >= 0:
            return f"model process {self.pid} has ended with exit code {code}"
        return f"model process {self.pid} has ended by signal {-code} ({signal.Signals(-code).name})"
