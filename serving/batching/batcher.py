"""Batching on the event loop: requests wait here, workers tokenise and run them in micro-batches.

Nothing waits for a batch to fill: a free worker is given what is there. Under load more is there, so batches grow.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NoReturn

from serving.batching.fairness import Pace
from serving.batching.jobs import Item, Job, Observer, Row, Worker, crash_error, items_of, no_room
from serving.batching.micro_batches import WaitingTexts
from serving.worker.client import ProcessLostError
from serving.worker.wire import Tokens
from shared.errors import EmotionError, NotReadyError, RequestError

logger = logging.getLogger("emotion.batching")

TEXTS_PER_TOKENISING = 64
"""Most texts a worker tokenises before it looks for a batch to run."""

START_AGAIN_S = 5.0
"""Time to wait after a worker could not be replaced, or was lost by a fault of this program."""

HEARTBEAT_S = 3.0
"""Time between two questions to idle workers whether they still answer."""


class Batcher:
    """Runs texts of many requests together; made and used on one event loop.

    Args:
        workers: tokenise and run.
        start_worker: makes one in the place of one that was lost.
        max_tokens: most tokens of one run, padding included.
        max_held: most texts, and further windows of them, waiting or running; windows are known once tokenised.
        observer: measures times and sizes.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        start_worker: Callable[[], Awaitable[Worker]],
        *,
        max_tokens: int,
        max_held: int,
        observer: Observer,
    ) -> None:
        self._start_worker = start_worker
        self._max_held = max_held
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[Job] = deque()
        self._waiting: WaitingTexts[Item] = WaitingTexts(max_tokens)
        self._retries: deque[Item] = deque()
        self._idle_workers: dict[Worker, asyncio.Future[bool]] = {}
        self.closed = False
        self.held = self._num_open = 0
        """Texts, and further windows of them, waiting or running; and requests they are from."""
        self._tokens = 0.0
        self._divisible: set[Job] = set()
        self._all_answered = asyncio.Event()
        self._all_answered.set()
        self.pace = Pace()
        self._num_workers, self._num_lost = len(workers), 0
        self._worker_tasks = [self._loop.create_task(self._worker_loop(worker)) for worker in workers]
        self._worker_tasks.append(self._loop.create_task(self._heartbeat()))

    @property
    def num_workers(self) -> int:
        """Workers that are there, without those being replaced."""
        return self._num_workers - self._num_lost

    def wait_s(self, within_s: float, num_others: int = 0) -> float:
        """Time that held texts take which are due within so many seconds, and `num_others`, in s."""
        end = time.perf_counter() + within_s
        tokens = self._tokens - sum(job.tokens_later(end) for job in self._divisible)
        return tokens * self.pace.seconds_per_token + num_others * self.pace.seconds_per_text

    async def submit(
        self, texts: Sequence[str], *, timeout_s: float, whole: Sequence[bool] = ()
    ) -> list[Row | RequestError]:
        """The rows of `texts`, in their order; a text whose run failed has an error in its place.

        Whether there is room for them is decided before, by `AdmissionControl`. Cancelling the call, or letting it time
        out, takes its texts out of the queue.

        Args:
            texts: N texts.
            timeout_s: time for all of them.
            whole: which of them are read whole, in windows where they are long; none by default.

        Raises:
            DeadlineError: after `timeout_s`.
            InvalidInputError: when the texts have more windows than may ever be held.
            OverloadedError: when they have more windows than there is room for now.
            NotReadyError: when the batcher was closed.
        """
        if not texts:
            return []
        if self.closed:
            raise NotReadyError("the service is shutting down.", hint="Send the request to another replica.")
        job = Job(texts, whole or [False] * len(texts), self._loop.create_future(), time.perf_counter(), timeout_s)
        job.plan(len(texts) * self.pace.tokens_per_text, self.pace)
        self._hold(job.missing, job.tokens)
        self._num_open += 1
        if job.missing > 1:
            self._divisible.add(job)
        self._jobs.append(job)
        self._notify_idle()
        timer = self._loop.call_later(timeout_s, job.expire)
        try:
            return await job.answer
        finally:
            timer.cancel()
            job.wanted = False
            self._hold(-job.missing, -job.tokens)
            self._num_open -= 1
            self._divisible.discard(job)

    async def close(self) -> None:
        """Answer what is held, then end the workers; new texts are refused from now on."""
        self.closed = True
        await self._all_answered.wait()
        await asyncio.sleep(0)  # a loop that has not begun would leave its worker open
        for task in self._worker_tasks:
            task.cancel()
        await asyncio.gather(*self._worker_tasks, return_exceptions=True)

    def _hold(self, texts: int, tokens: float) -> None:
        self.held += texts
        self._tokens = self._tokens + tokens if self.held else 0.0
        if self.held:
            self._all_answered.clear()
        else:
            self._all_answered.set()

    async def _worker_loop(self, worker: Worker) -> None:
        """Serve with one worker; one that is lost costs what it held, and another takes its place."""
        try:
            while True:
                worker.ended.add_done_callback(partial(self._on_worker_ended, worker))
                try:
                    await self._serve(worker)
                except Exception as error:  # whatever it is, this worker's loop goes on with another one
                    lost = error if isinstance(error, ProcessLostError) else None
                    logger.error(  # noqa: TRY400 - a lost process has no traceback worth reading
                        "a worker was lost; another one starts: %s", lost or "unexpected error",
                        exc_info=None if lost else error,
                    )  # fmt: skip
                    self._observer.crashed()
                    self._observer.worker_lost(lost.reason if lost else "failed")
                    self._num_lost += 1
                    await worker.close()
                    if lost is None:
                        await asyncio.sleep(START_AGAIN_S)
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
            except Exception:
                logger.exception("no worker could be started")
            await asyncio.sleep(START_AGAIN_S)

    async def _heartbeat(self) -> None:
        """Have idle workers asked whether they still answer: one that hangs must be known before it is needed."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            for worker in list(self._idle_workers):
                wake_up = self._idle_workers.pop(worker)
                if not wake_up.done():
                    wake_up.set_result(True)

    async def _serve(self, worker: Worker) -> NoReturn:
        """Again and again, tokenise what came and run one batch of what is waiting."""
        while True:
            await self._wait_for_work(worker)
            for item in await self._tokenise(worker, self._take_jobs()):
                self._waiting.add(item)
            batch = self._take_batch()
            if self._has_work:
                self._notify_idle()
            if batch:
                await self._run(worker, batch)

    async def _wait_for_work(self, worker: Worker) -> None:
        """Wait until there is something to do, and answer the heartbeat meanwhile.

        Raises:
            ProcessLostError: when the worker ends meanwhile.
        """
        while not self._has_work:
            if worker.ended.done():
                await worker.ping()  # fails, and says how it ended
                raise ProcessLostError
            self._idle_workers[worker] = self._loop.create_future()
            if await self._idle_workers[worker]:
                await worker.ping()

    @property
    def _has_work(self) -> bool:
        return bool(self._jobs or self._retries or len(self._waiting))

    def _take_batch(self) -> list[Item]:
        """A text whose worker was lost, alone, since it may be what the worker was lost by; else the next batch.

        Of a request that is alone idle workers get their share. Where there are others, they will have work of their
        own in a moment, and smaller batches would cost everybody.
        """
        while self._retries:
            item = self._retries.popleft()
            if item.wanted:
                return [item]
        return self._waiting.take(shares=1 + len(self._idle_workers) if self._num_open == 1 else 1)

    def _notify_idle(self) -> None:
        """Wake the worker that became idle last: its caches are warm."""
        while self._idle_workers:
            _, wake_up = self._idle_workers.popitem()
            if not wake_up.done():
                wake_up.set_result(False)
                return

    def _on_worker_ended(self, worker: Worker, _ended: asyncio.Future[Any]) -> None:
        """Do not wait for a request to find out that its worker is gone."""
        wake_up = self._idle_workers.pop(worker, None)
        if wake_up is not None and not wake_up.done():
            wake_up.set_result(True)

    def _take_jobs(self) -> list[Job]:
        """What came and is still wanted, as much as is tokenised at once."""
        jobs: list[Job] = []
        texts = 0
        while self._jobs and texts < TEXTS_PER_TOKENISING:
            job = self._jobs.popleft()
            if job.wanted:
                jobs.append(job)
                texts += len(job.texts)
            if job.alone or (self._jobs and self._jobs[0].alone):
                break
        return jobs

    async def _tokenise(self, worker: Worker, jobs: Sequence[Job]) -> list[Item]:
        if not jobs:
            return []
        started = time.perf_counter()
        try:
            texts = [text for job in jobs for text in job.texts]
            tokens = iter(await worker.encode(texts, [whole for job in jobs for whole in job.whole]))
            items = [item for job in jobs for item in self._items(job, [next(tokens) for _ in job.texts])]
        except ProcessLostError:
            self._try_alone([job for job in jobs if not job.retried])
            for job in jobs:
                if job.retried:
                    job.fail()
                job.retried = True
            self._notify_idle()
            raise
        except Exception:
            logger.exception("tokenising failed")
            self._observer.crashed()
            if len(jobs) > 1:  # one job's fault must not be its neighbours'
                self._try_alone(jobs)
            else:
                jobs[0].fail()
            return []
        self._observer.tokenised(len(items), time.perf_counter() - started)
        return items

    def _try_alone(self, jobs: Sequence[Job]) -> None:
        """Put jobs back to the front, each to be tokenised without others."""
        for job in jobs:
            job.alone = True
        self._jobs.extendleft(reversed(jobs))

    def _items(self, job: Job, texts: Sequence[Tokens]) -> list[Item]:
        """What is to be run for a job: its texts, or each of their windows; nothing where there is no room for them."""
        if not job.wanted or job.answer.done():
            return []
        more = sum(len(tokens.more) for tokens in texts)
        room = self._max_held - self.held + job.missing
        refusal = no_room(job.missing + more, room, self._max_held, self.wait_s(math.inf))
        if more and refusal is not None:
            job.answer.set_exception(refusal)
            return []
        job.missing += more
        before, items = job.tokens, items_of(job, texts, self.pace)
        self._hold(more, job.tokens - before)
        if job.missing > 1:
            self._divisible.add(job)
        return items

    async def _run(self, worker: Worker, batch: Sequence[Item]) -> None:
        started = time.perf_counter()
        try:
            answers = await self._answers(worker, batch)
        except ProcessLostError:
            given_up = [item for item in batch if item.retried]
            self._deliver(given_up, [crash_error()] * len(given_up))
            for item in batch:
                if not item.retried:
                    item.retried = True
                    self._retries.append(item)
            self._notify_idle()
            raise
        seconds = time.perf_counter() - started
        lengths = [item.length for item in batch]
        self._observer.ran(lengths, [started - item.job.arrived for item in batch], seconds)
        self.pace.ran(lengths, seconds, self._num_workers)
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
                return [crash_error()]
            return [answer for item in batch for answer in await self._answers(worker, [item])]
        return [Row.of(row, item.tokens) for row, item in zip(probabilities, batch, strict=True)]

    def _deliver(self, batch: Sequence[Item], answers: Sequence[Row | RequestError]) -> None:
        for item, answer in zip(batch, answers, strict=True):
            if item.wanted:
                item.job.take(item.position, answer, item.length)
                self._hold(-1, -item.length)
