"""A model for the tests of the batcher, whose answer for a text is its own length and first letter."""

from __future__ import annotations

import asyncio
import contextlib
import time

import numpy as np

from serving.batching.batcher import Batcher
from serving.worker.client import ProcessHungError, ProcessLostError
from serving.worker.wire import Tokens, token_ids
from shared.text import windows
from shared.tokenizer import Encoded


class FakeModel:
    """What several workers share. Tokens are characters; the row of a text is [length, code of its first letter]."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.running = asyncio.Event()
        self.batches: list[list[int]] = []
        self.texts_run: list[str] = []
        self.fail_on: set[str] = set()
        self.die_on: set[str] = set()
        self.hang_on: set[str] = set()
        self.workers: list[FakeWorker] = []
        self.refuse_to_start = 0

    def hold(self) -> None:
        """Let the next run wait for the gate."""
        self.running.clear()
        self.gate.clear()

    async def start(self) -> FakeWorker:
        """Another worker."""
        if self.refuse_to_start:
            self.refuse_to_start -= 1
            raise OSError("no memory")
        self.workers.append(FakeWorker(self))
        return self.workers[-1]


class FakeWorker:
    def __init__(self, model: FakeModel) -> None:
        self.model = model
        self.ended = asyncio.get_running_loop().create_future()
        self.closed = False
        self.asked = self.pings = 0
        self.hangs = False

    async def encode(self, texts, whole=()):
        assert not self.closed
        self.asked += 1
        await asyncio.sleep(0)
        if any("untokenisable" in text for text in texts):
            raise RuntimeError("tokenizer")
        if any("tokenised to death" in text for text in texts):
            raise ProcessLostError
        ids = [np.array([ord(c) for c in text], np.int32) for text in texts]
        return [
            Tokens.of(*(Encoded(part, len(row), not all_of_it and len(row) > 50) for part in windows(row, 50)))
            if all_of_it
            else Tokens.of(Encoded(row, len(row), len(row) > 50))
            for row, all_of_it in zip(ids, whole or [False] * len(ids), strict=True)
        ]

    async def run(self, rows):
        assert not self.closed
        model = self.model
        model.running.set()
        await asyncio.wait_for(model.gate.wait(), 5)
        texts = ["".join(map(chr, ids)) for ids in token_ids([row.ids for row in rows])]
        if model.die_on & set(texts):
            raise ProcessLostError
        if model.hang_on & set(texts):
            model.hang_on.clear()
            raise ProcessHungError
        if model.fail_on & set(texts):
            raise RuntimeError("model")
        model.batches.append([len(text) for text in texts])
        model.texts_run += texts
        return np.array([[len(text), ord(text[0])] for text in texts], dtype=float)

    async def ping(self):
        self.pings += 1
        if self.hangs:
            raise ProcessHungError
        if self.ended.done():
            raise ProcessLostError

    async def close(self):
        self.closed = True
        if not self.ended.done():
            self.ended.set_result(0)


class Seen:
    def __init__(self) -> None:
        self.num_tokenised = self.num_run = self.crashes = 0
        self.lost: list[str] = []

    def tokenised(self, num_texts, seconds):
        self.num_tokenised += num_texts

    def ran(self, lengths, waits, seconds):
        assert len(lengths) == len(waits)
        assert min(waits) >= 0
        self.num_run += len(lengths)

    def crashed(self):
        self.crashes += 1

    def worker_lost(self, reason):
        self.lost.append(reason)


async def occupy(batcher: Batcher, model: FakeModel, text: str = "running") -> asyncio.Task:
    """A request that runs until the model's gate opens, so that others wait."""
    model.hold()
    task = asyncio.create_task(batcher.submit([text], timeout_s=5))
    await until(model.running.is_set)
    return task


@contextlib.asynccontextmanager
async def running(model=None, *, workers=2, max_tokens=200, max_held=1024, seen=None):
    model = model or FakeModel()
    batcher = Batcher(
        [await model.start() for _ in range(workers)], model.start,
        max_tokens=max_tokens, max_held=max_held, observer=seen or Seen(),
    )  # fmt: skip
    try:
        yield batcher
    finally:
        model.gate.set()
        await asyncio.wait_for(batcher.close(), 5)
        assert all(worker.closed for worker in model.workers)


def expected(text: str) -> list[float]:
    return [len(text), ord(text[0])]


def values(rows) -> list[list[float]]:
    return [row.probabilities.tolist() for row in rows]


async def until(condition, timeout_s=5.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        await asyncio.sleep(0.002)
