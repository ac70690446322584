"""Start a model's process, ask it, end it."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.worker.wire import HEAD, MODULE, Encode, Failed, Load, Loaded, Run, Tokens, packed

ROOT = Path(__file__).parents[2]
"""Holds the packages that the process imports."""

NICENESS = 10
"""The model's, relative to the event loop's, which has short turns that everybody waits for."""

LAST_RUN_S = 5.0
"""Time for a process to end by itself."""


class ProcessLostError(Exception):
    """The process has ended, or makes no sense."""

    def __init__(self) -> None:
        super().__init__("the process of the model has ended.")


class ModelProcess:
    """A process that runs one model; asked one thing at a time. Made by `start`."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._requests, self._answers = process.stdin, process.stdout
        self.ended = asyncio.ensure_future(process.wait())
        self.loaded: Loaded

    @classmethod
    async def start(
        cls, path: Path, *, precision: str | None = None, provider: str | None = None, threads: int | None = None
    ) -> ModelProcess:
        """A process whose model is loaded and warm; for the arguments see `Predictor.load`.

        Raises:
            EmotionError: as `Predictor.load` does.
            OSError: when the bundle cannot be read.
            ProcessLostError: when it ended before it was ready.
        """
        paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        # one thread tokenises: other processes, and the event loop, want the other cores
        environment = {**os.environ, "PYTHONPATH": paths, "TOKENIZERS_PARALLELISM": "false"}
        own = cls(
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", MODULE, stdin=PIPE, stdout=PIPE, env=environment
            )
        )  # fmt: skip
        try:
            own.loaded = await own._ask(Load(path, precision, provider, threads, NICENESS))
        except BaseException:
            await own.close()
            raise
        return own

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Token ids of N texts.

        Raises:
            RuntimeError: when the tokenizer failed.
            ProcessLostError: when the process has ended.
        """
        found: list[Tokens] = await self._ask(Encode(texts))
        return found

    async def run(self, rows: Sequence[Tokens]) -> NDArray[np.float64]:
        """Calibrated probabilities of one padded batch, shape (N, L).

        Raises:
            RuntimeError: when the model failed.
            ProcessLostError: when the process has ended.
        """
        found: NDArray[np.float64] = await self._ask(Run([row.ids for row in rows]))
        return found

    async def close(self) -> None:
        """End the process, which may finish what it is at."""
        self._requests.close()
        try:
            await asyncio.wait_for(asyncio.shield(self.ended), LAST_RUN_S)
        except TimeoutError:
            self._process.kill()
            await self.ended

    async def _ask(self, request: Any) -> Any:
        try:
            self._requests.write(packed(request))
            (size,) = HEAD.unpack(await self._answers.readexactly(HEAD.size))
            answer = pickle.loads(await self._answers.readexactly(size))
        except (asyncio.IncompleteReadError, OSError, pickle.UnpicklingError) as error:
            raise ProcessLostError from error
        if isinstance(answer, Failed):
            raise answer.error
        return answer
