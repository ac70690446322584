"""Batching on the event loop: requests wait here, workers tokenise and run them in micro-batches.

Nothing waits for a batch to fill: a free worker is given what is there. Under load more is there, so batches grow.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NoReturn

from serving.batching.jobs import Item, Job, Observer, Row, Worker
from serving.batching.micro_batches import WaitingTexts
from serving.worker.client import ProcessLostError
from shared.errors import DeadlineError, EmotionError, NotReadyError, RequestError

logger = logging.getLogger("emotion.batching")

TEXTS_PER_TOKENISING = 64
"""Most texts a worker tokenises before it looks for a batch to run."""

START_AGAIN_S = 5.0
"""Time to wait after a worker could not be replaced."""


class Batcher:
    """Runs texts of many requests together; made and used on one event loop.

    Args:
        workers: tokenise and run.
        start_worker: makes one in the place of one that was lost.
        max_tokens: most tokens of one run, padding included.
        observer: measures times and sizes.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        start_worker: Callable[[], Awaitable[Worker]],
        *,
        max_tokens: int,
        observer: Observer,
    ) -> None:
        self._start_worker = start_worker
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[Job] = deque()
        self._waiting: WaitingTexts[Item] = WaitingTexts(max_tokens)
        self._idle_workers: dict[Worker, asyncio.Future[None]] = {}
        self.closed = False
        self._held = 0
        self._all_answered = asyncio.Event()
        self._all_answered.set()
        self.seconds_per_text = 0.0
        """Moving average over all workers together; 0 before the first run."""
        self._num_workers = len(workers)
        self._num_lost = 0
        self._worker_tasks = [self._loop.create_task(self._worker_loop(worker)) for worker in workers]

    @property
    def has_workers(self) -> bool:
        """Whether one worker at least is there, and not all of them are being replaced."""
        return self._num_lost < self._num_workers

    @property
    def held(self) -> int:
        """Texts waiting or running."""
        return self._held

    async def submit(self, texts: Sequence[str], *, timeout_s: float) -> list[Row | RequestError]:
        """The rows of `texts`, in their order; a text whose run failed has an error in its place.

        Whether there is room for them is decided before, by `AdmissionControl`. Cancelling the call, or letting it time
        out, takes its texts out of the queue.

        Raises:
            DeadlineError: after `timeout_s`.
            NotReadyError: when the batcher was closed.
        """
        if not texts:
            return []
        if self.closed:
            raise NotReadyError("the service is shutting down.", hint="Send the request to another replica.")
        job = Job(texts, self._loop.create_future(), time.perf_counter())
        self._hold(len(texts))
        self._jobs.append(job)
        self._notify_idle()
        timer = self._loop.call_later(timeout_s, self._expire, job, timeout_s)
        try:
            return await job.answer
        finally:
            timer.cancel()
            job.wanted = False
            self._hold(-len(texts))

    async def close(self) -> None:
        """Answer what is held, then end the workers; new texts are refused from now on."""
        self.closed = True
        await self._all_answered.wait()
        for task in self._worker_tasks:
            task.cancel()
        await asyncio.gather(*self._worker_tasks, return_exceptions=True)

    def _hold(self, change: int) -> None:
        self._held += change
        if self._held:
            self._all_answered.clear()
        else:
            self._all_answered.set()

    def _expire(self, job: Job, timeout_s: float) -> None:
        job.wanted = False
        if not job.answer.done():
            job.answer.set_exception(DeadlineError(f"no answer within the deadline of {timeout_s * 1000:.0f} ms."))

    async def _worker_loop(self, worker: Worker) -> None:
        """Serve with one worker; one that is lost costs what it held, and another takes its place."""
        try:
            while True:
                worker.ended.add_done_callback(partial(self._on_worker_ended, worker))
                try:
                    await self._serve(worker)
                except ProcessLostError:
                    logger.exception("a worker was lost; another one starts")
                    self._observer.crashed()
                    self._num_lost += 1
                    await worker.close()
                    worker = await self._replacement()
                    self._num_lost -= 1
        finally:
            await worker.close()

    async def _replacement(self) -> Worker:
        while True:
            try:
                return await self._start_worker()
            except (EmotionError, ProcessLostError, OSError) as error:
                logger.error("no worker could be started: %s", error)  # noqa: TRY400 - the message says it all
                await asyncio.sleep(START_AGAIN_S)

    async def _serve(self, worker: Worker) -> NoReturn:
        """Again and again, tokenise what came and run one batch of what is waiting."""
        while True:
            await self._wait_for_work(worker)
            for item in await self._tokenise(worker, self._take_jobs()):
                self._waiting.add(item)
            batch = self._waiting.take()
            if self._jobs or len(self._waiting):
                self._notify_idle()
            if batch:
                await self._run(worker, batch)

    async def _wait_for_work(self, worker: Worker) -> None:
        """Wait until there is something to do.

        Raises:
            ProcessLostError: when the worker ends meanwhile.
        """
        while not (self._jobs or len(self._waiting)):
            if worker.ended.done():
                raise ProcessLostError
            self._idle_workers[worker] = self._loop.create_future()
            await self._idle_workers[worker]

    def _notify_idle(self) -> None:
        """Wake the worker that became idle last: its caches are warm."""
        while self._idle_workers:
            _, wake_up = self._idle_workers.popitem()
            if not wake_up.done():
                wake_up.set_result(None)
                return

    def _on_worker_ended(self, worker: Worker, _ended: asyncio.Future[Any]) -> None:
        """Do not wait for a request to find out that its worker is gone."""
        wake_up = self._idle_workers.pop(worker, None)
        if wake_up is not None and not wake_up.done():
            wake_up.set_exception(ProcessLostError())

    def _take_jobs(self) -> list[Job]:
        """What came and is still wanted, as much as is tokenised at once."""
        jobs: list[Job] = []
        texts = 0
        while self._jobs and texts < TEXTS_PER_TOKENISING:
            job = self._jobs.popleft()
            if job.wanted:
                jobs.append(job)
                texts += len(job.texts)
        return jobs

    async def _tokenise(self, worker: Worker, jobs: Sequence[Job]) -> list[Item]:
        if not jobs:
            return []
        started = time.perf_counter()
        try:
            tokens = iter(await worker.encode([text for job in jobs for text in job.texts]))
            items = [Item(job, place, next(tokens)) for job in jobs for place in range(len(job.texts))]
        except ProcessLostError:
            self._fail(jobs)
            raise
        except Exception:
            if len(jobs) > 1:  # one job's fault must not be its neighbours'
                return [item for job in jobs for item in await self._tokenise(worker, [job])]
            logger.exception("tokenising failed")
            self._observer.crashed()
            self._fail(jobs)
            return []
        self._observer.tokenised(len(items), time.perf_counter() - started)
        return items

    async def _run(self, worker: Worker, batch: Sequence[Item]) -> None:
        started = time.perf_counter()
        try:
            answers = await self._answers(worker, batch)
        except ProcessLostError:
            self._deliver(batch, [_crash_error()] * len(batch))
            raise
        seconds = time.perf_counter() - started
        self._observer.ran([item.length for item in batch], [started - item.job.arrived for item in batch], seconds)
        pace = seconds / len(batch) / self._num_workers
        self.seconds_per_text = pace if not self.seconds_per_text else 0.9 * self.seconds_per_text + 0.1 * pace
        self._deliver(batch, answers)

    async def _answers(self, worker: Worker, batch: Sequence[Item]) -> list[Row | RequestError]:
        """A row for every text; when the run fails, each text runs alone, so that only the faulty one has an error."""
        try:
            probabilities = await worker.run([item.tokens for item in batch])
            if len(probabilities) != len(batch):
                raise ValueError("the model answered another number of rows")
        except ProcessLostError:
            raise
        except Exception:
            logger.exception("a model run failed")
            self._observer.crashed()
            if len(batch) == 1:
                return [_crash_error()]
            return [answer for item in batch for answer in await self._answers(worker, [item])]
        return [
            Row(row, item.tokens.num_tokens, item.tokens.truncated)
            for row, item in zip(probabilities, batch, strict=True)
        ]

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
