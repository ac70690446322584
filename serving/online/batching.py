"""Batching in process: requests come from the event loop, threads tokenise and run them in micro-batches.

Nothing waits for a batch to fill: a free thread takes what is there. Under load more is there, so batches grow.
"""

from __future__ import annotations

import asyncio
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence

from serving.online.jobs import Item, Job, Model, Observer, Row
from serving.online.micro_batches import WaitingTexts
from serving.online.priority import give_way
from shared.errors import DeadlineError, NotReadyError, OverloadedError, RequestError

logger = logging.getLogger("emotion.batching")

PATIENCE = 0.7
"""Largest share of its deadline that a text may be expected to wait: the rest is for what the estimate is wrong by."""

TEXTS_PER_TOKENISING = 64
"""Most texts a thread tokenises before it looks for a batch to run."""


class Batcher:
    """Runs texts of many requests together; made and used on one event loop.

    Args:
        model: tokenises and runs.
        workers: threads that do so.
        max_tokens: most tokens of one run, padding included.
        max_texts: most texts held, waiting or running.
        observer: told of times and sizes.
    """

    def __init__(self, model: Model, *, workers: int, max_tokens: int, max_texts: int, observer: Observer) -> None:
        self._model = model
        self._max_texts = max_texts
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting: WaitingTexts[Item] = WaitingTexts(max_tokens)
        self._waiting_lock = threading.Lock()
        self._closed = False
        self._held = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._seconds_per_text = 0.0
        self._workers = workers
        for number in range(workers):
            self._start_thread(number)

    @property
    def held(self) -> int:
        """Texts waiting or running."""
        return self._held

    async def submit(self, texts: Sequence[str], *, timeout_s: float) -> list[Row | RequestError]:
        """The rows of `texts`, in their order; a text whose run failed has an error in its place.

        Cancelling the call, or letting it time out, takes its texts out of the queue.

        Raises:
            OverloadedError: when the queue is full, or too long to be done well within `timeout_s`.
            DeadlineError: after `timeout_s`.
            NotReadyError: when the batcher was closed.
        """
        if not texts:
            return []
        self.check_room(len(texts), timeout_s)
        job = Job(texts, self._loop.create_future(), time.perf_counter())
        self._hold(len(texts))
        self._jobs.put(job)
        timer = self._loop.call_later(timeout_s, self._expire, job, timeout_s)
        try:
            return await job.answer
        finally:
            timer.cancel()
            job.wanted = False
            self._hold(-len(texts))

    async def close(self) -> None:
        """Answer what is held, then end the threads; new texts are refused from now on."""
        self._closed = True
        await self._idle.wait()
        for _ in range(self._workers):
            self._jobs.put(None)

    def expected_wait_s(self) -> float:
        """Time until a text that came now would run, from the pace of late."""
        return self._held * self._seconds_per_text

    def check_room(self, num_texts: int = 1, timeout_s: float | None = None) -> None:
        """Whether `num_texts` more would be taken.

        Raises:
            OverloadedError: when the queue is full, or too long to be done well within `timeout_s`.
            NotReadyError: when the batcher was closed.
        """
        if self._closed:
            raise NotReadyError("the service is shutting down.", hint="Send the request to another replica.")
        wait_s = self.expected_wait_s()
        if self._held + num_texts > self._max_texts:
            raise OverloadedError(
                f"the queue is full ({self._max_texts} texts).", retry_after_s=max(1, math.ceil(wait_s))
            )
        if timeout_s is not None and self._held and wait_s > PATIENCE * timeout_s:
            raise OverloadedError(
                f"the queue is {wait_s:.1f} s long, the deadline {timeout_s:.1f} s.", retry_after_s=math.ceil(wait_s)
            )

    def _hold(self, change: int) -> None:
        self._held += change
        if self._held:
            self._idle.clear()
        else:
            self._idle.set()

    def _expire(self, job: Job, timeout_s: float) -> None:
        job.wanted = False
        if not job.answer.done():
            job.answer.set_exception(DeadlineError(f"no answer within the deadline of {timeout_s * 1000:.0f} ms."))

    def _start_thread(self, number: int) -> None:
        threading.Thread(target=self._work, args=(number,), name=f"model-{number}", daemon=True).start()

    def _work(self, number: int) -> None:
        """A thread's life: take a batch, run it; a crash costs what it held, and a new thread follows."""
        batch: list[Item] | None = []
        try:
            give_way()
            while batch is not None:
                batch = []
                batch = self._next_batch()
                if batch:
                    self._run(batch)
        except BaseException:  # whatever it was, the callers must hear of it
            logger.exception("model thread %d ended; a new one starts", number)
            self._observer.crashed()
            self._post(batch or [], [_crash_error()] * len(batch or []))
            self._start_thread(number)

    def _next_batch(self) -> list[Item] | None:
        """A batch to run, empty when what was there is no longer wanted, None when the batcher is closed."""
        jobs = self._take_jobs()
        if not jobs and self._closed and not self._held:
            return None
        items = self._tokenise([job for job in jobs if job.wanted]) if jobs else []
        with self._waiting_lock:
            for item in items:
                self._waiting.add(item)
            batch = self._waiting.take()
            if len(self._waiting):
                self._jobs.put(None)  # wakes another thread, or this one again
        return batch

    def _take_jobs(self) -> list[Job]:
        """Wait for something to do; the jobs that came, none when texts are waiting or the batcher was closed."""
        jobs: list[Job] = []
        texts = 0
        try:
            job = self._jobs.get()
            while job is not None:
                jobs.append(job)
                texts += len(job.texts)
                if texts >= TEXTS_PER_TOKENISING:
                    break
                job = self._jobs.get_nowait()
        except queue.Empty:
            pass
        return jobs

    def _tokenise(self, jobs: Sequence[Job]) -> list[Item]:
        started = time.perf_counter()
        try:
            encoded = iter(self._model.encode([text for job in jobs for text in job.texts]))
            items = [Item(job, place, next(encoded)) for job in jobs for place in range(len(job.texts))]
        except Exception:
            if len(jobs) > 1:  # one job's fault must not be its neighbours'
                return [item for job in jobs for item in self._tokenise([job])]
            logger.exception("tokenising failed")
            self._observer.crashed()
            self._call(self._fail, jobs)
            return []
        if items:
            self._observer.tokenised(len(items), time.perf_counter() - started)
        return items

    def _run(self, batch: list[Item]) -> None:
        started = time.perf_counter()
        answers = self._answers(batch)
        seconds = time.perf_counter() - started
        self._observer.ran([item.length for item in batch], [started - item.job.arrived for item in batch], seconds)
        pace = seconds / len(batch) / self._workers
        self._seconds_per_text = pace if not self._seconds_per_text else 0.9 * self._seconds_per_text + 0.1 * pace
        self._post(batch, answers)

    def _answers(self, batch: Sequence[Item]) -> list[Row | RequestError]:
        """A row for every text; when the run fails, each text runs alone, so that only the culprit has an error."""
        try:
            probabilities = self._model.run([item.encoded for item in batch])
            if len(probabilities) != len(batch):
                raise ValueError("the model answered another number of rows")
        except Exception:
            logger.exception("a model run failed")
            self._observer.crashed()
            if len(batch) == 1:
                return [_crash_error()]
            return [answer for item in batch for answer in self._answers([item])]
        return [
            Row(row, item.encoded.num_tokens, item.encoded.truncated)
            for row, item in zip(probabilities, batch, strict=True)
        ]

    def _post(self, batch: Sequence[Item], answers: Sequence[Row | RequestError]) -> None:
        self._call(self._deliver, batch, answers)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed: nobody waits any more
            logger.warning("an answer came after the event loop had ended")

    def _deliver(self, batch: Sequence[Item], answers: Sequence[Row | RequestError]) -> None:
        for item, answer in zip(batch, answers, strict=True):
            job = item.job
            job.rows[item.position] = answer
            job.missing -= 1
            if not job.missing and not job.answer.done():
                job.answer.set_result([row for row in job.rows if row is not None])

    def _fail(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if not job.answer.done():
                job.answer.set_result([_crash_error()] * len(job.texts))


def _crash_error() -> NotReadyError:
    return NotReadyError("the model failed on this text.", hint="Try again; if it fails again, report it.")
