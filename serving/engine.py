"""The engine: a loaded bundle with its model processes and batcher, replaced when another bundle takes its place."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from serving.batching.batcher import Batcher
from serving.batching.fairness import Pace
from serving.logs import dropped_lines
from serving.settings import Settings
from serving.signature import check_pins
from serving.telemetry.drift import Drift
from serving.telemetry.metrics import Metrics
from serving.worker.client import ModelProcess, ProcessLostError
from serving.worker.wire import LOAD_TIMEOUT_S, Load, Loaded
from shared.bundle import Bundle, fingerprint
from shared.errors import BundleTamperedError, EmotionError, NotReadyError

logger = logging.getLogger("emotion.engine")

LOADED, REFUSED, FAILED = "loaded", "refused", "failed"

MAX_RETRY_S = 60.0
"""Longest time before a bundle that failed to load is tried again."""

RELOAD_TIMEOUT_S, RELOAD_TIMES = 10.0, 5.0
"""Time for a model process to take another's place, in s, or so many times what the first ones took to load."""

MEASURE_S = 1.0
"""Time between two looks at what other processes are to say of this one."""

GC_THRESHOLD = 50_000
"""Grown by so many objects, the process looks for garbage among them; Python's own 700 come with every few requests."""


class Users:
    """Requests that hold a bundle, each between `with` and its end: it may ask the batcher once more."""

    def __init__(self) -> None:
        self._count = 0
        self._nobody = asyncio.Event()
        self._nobody.set()

    def __enter__(self) -> None:
        self._count += 1
        self._nobody.clear()

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self._nobody.set()

    async def gone(self) -> None:
        """Wait until there are none."""
        await self._nobody.wait()


@dataclass(frozen=True)
class ActiveModel:
    """A bundle in service, what its workers say of its model, the batcher that feeds them, and how its texts drift."""

    bundle: Bundle
    model: Loaded
    batcher: Batcher
    drift: Drift
    users: Users = field(default_factory=Users)


class Engine:
    """Loads a bundle, has it answer requests, and lets go of it.

    Args:
        settings: what the environment says.
        metrics: where times, sizes and decisions are counted.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.active: ActiveModel | None = None
        self.draining = False
        self._processes: set[ModelProcess] = set()
        self._problem = "the service is starting."

    @property
    def ready(self) -> bool:
        """Whether requests are answered and new ones welcome: a bundle is warm, and no shutdown has begun.

        Not while every model process was lost and its successor is still loading.
        """
        return self.active is not None and self.active.batcher.num_workers > 0 and not self.draining

    def require(self) -> ActiveModel:
        """The bundle in service.

        Raises:
            NotReadyError: while there is none.
        """
        if self.active is None:
            raise NotReadyError(self._problem, hint="Wait until GET /readyz answers 200.")
        return self.active

    async def start(self) -> None:
        """Load and warm up the bundle of the settings, then watch for another one at its path.

        A bundle that is refused is not tried again; it leaves the one before in service, or the service not ready. What
        fails otherwise, for want of memory for example, is tried again, less and less often. Nothing ends the watch.
        """
        path = self.settings.bundle
        seen = fingerprint(path)
        outcome = await self._try_to_load(path)
        if outcome == LOADED:
            logger.info("ready %.1f s after the start of this process", time.time() - psutil.Process().create_time())
        failures = int(outcome == FAILED)
        while self.settings.watch_s:
            await asyncio.sleep(max(self.settings.watch_s, min(MAX_RETRY_S, self.settings.watch_s * 2**failures)))
            found = await asyncio.to_thread(fingerprint, path)
            if found is None or (found == seen and not failures):
                continue
            seen = found
            failures = failures + 1 if await self._try_to_load(path) == FAILED else 0

    async def _try_to_load(self, path: Path) -> str:
        """Load a bundle; whatever goes wrong is logged and counted, and never raised."""
        outcome = FAILED
        stays = " The bundle in service stays." if self.active is not None else ""
        try:
            await self.load(path)
            outcome = LOADED
        except EmotionError as error:
            outcome = REFUSED
            logger.error("error: %s%s", error, stays)  # noqa: TRY400 - the message says it all
        except (ProcessLostError, OSError) as error:
            logger.error("error: %s.%s It is tried again.", error, stays)  # noqa: TRY400 - the same
        except Exception:
            logger.exception("error: the bundle could not be loaded.%s It is tried again.", stays)
        self.metrics.loads.labels(outcome).inc()
        self._problem = f"the bundle was {outcome}; the log of the service says why."
        return outcome

    def measure(self) -> None:
        """Set the metrics of what is so now."""
        batcher = self.active.batcher if self.active is not None else None
        self.metrics.workers(
            held=batcher.held if batcher else 0,
            alive=batcher.num_workers if batcher else 0,
            pids=[process.pid for process in self._processes],
        )
        self.metrics.dropped(dropped_lines())
        if self.active is not None:
            self.metrics.drifted(self.active.drift.indices_by_profile())

    async def keep_measuring(self) -> None:
        """Set these metrics again and again, for the other processes of the service: any of them answers for all."""
        while True:
            self.measure()
            await asyncio.sleep(MEASURE_S)

    async def load(self, path: Path) -> ActiveModel:
        """Put the bundle at `path` into service; the one before stays until the new one is warm, then drains.

        Raises:
            BundleError: when the bundle is missing, incomplete or was changed.
            VerificationError: when its model is unverified, failed, or is stale.
        """
        folder = path.resolve()  # a worker that is replaced must find the same bundle, wherever the path leads then
        bundle = await asyncio.to_thread(_open, folder, self.settings)
        workers = await _all_or_none([self._start_worker(bundle) for _ in range(self.settings.model_workers)])
        try:
            drift = await asyncio.to_thread(Drift, bundle, workers[0].loaded.lengths)
        except BaseException:
            await _end(workers)
            raise
        # a successor may hang while it loads, too
        loading_s = max(worker.loaded.loading_s for worker in workers)
        limit_s = min(LOAD_TIMEOUT_S, max(RELOAD_TIMEOUT_S, RELOAD_TIMES * loading_s))
        start_worker = partial(self._start_worker, bundle, limit_s)
        batcher = Batcher(
            workers, start_worker,
            max_tokens=self.settings.batch_tokens, max_held=self.settings.queue_texts, observer=self.metrics,
        )  # fmt: skip
        slowest_s, lengths = max(worker.loaded.slowest_s for worker in workers), workers[0].loaded.lengths
        batcher.pace = Pace.guess(slowest_s, bundle.manifest.max_length, float(lengths.mean()), len(workers))
        before, self.active = self.active, ActiveModel(bundle, workers[0].loaded, batcher, drift)
        self.metrics.loaded(self.active.model)
        freeze_heap()
        logger.info("serving %s (%s, %s)", path, self.active.model.precision, self.active.model.provider)
        if before is not None:
            await self._let_go(before)
        return self.active

    async def _let_go(self, model: ActiveModel) -> None:
        """Close a bundle that another one has replaced, once the requests that hold it have their answers."""
        with contextlib.suppress(TimeoutError):  # none has longer than its deadline
            await asyncio.wait_for(model.users.gone(), self.settings.deadline_ms / 1000)
        await model.batcher.close()

    async def _start_worker(self, bundle: Bundle, load_timeout_s: float = LOAD_TIMEOUT_S) -> ModelProcess:
        load = Load.by(self.settings, bundle.path, bundle.seal)
        worker = await ModelProcess.start(load, timeout_s=self.settings.model_timeout_s, load_timeout_s=load_timeout_s)
        self._processes.add(worker)
        worker.ended.add_done_callback(lambda _: self._processes.discard(worker))
        if worker.loaded.seal != bundle.seal:
            await worker.close()
            raise BundleTamperedError(f"{bundle.path} was changed while it was in service.")
        return worker

    async def stop(self) -> None:
        """Answer what is held, then let go of the bundle."""
        self.draining = True
        if self.active is not None:
            await self.active.batcher.close()


def _open(folder: Path, settings: Settings) -> Bundle:
    bundle = Bundle.read(folder, weights=False)
    check_pins(bundle, seal=settings.seal, public_key=settings.public_key)
    bundle.reference()  # which drift is measured against: to be refused before a process is started for it
    return bundle


async def _all_or_none(starting: Sequence[Awaitable[ModelProcess]]) -> list[ModelProcess]:
    """The workers once all have started; when one does not, or nobody waits any more, those that do are ended.

    Raises:
        EmotionError: as `ModelProcess.start`, as are the others.
        OSError: see there.
        ProcessLostError: see there.
    """
    tasks = [asyncio.ensure_future(each) for each in starting]
    try:
        await asyncio.gather(*tasks, return_exceptions=True)  # cancelled, it raises once all have ended
        return [task.result() for task in tasks]
    except BaseException:
        await _end([task.result() for task in tasks if not task.cancelled() and task.exception() is None])
        raise


async def _end(workers: Sequence[ModelProcess]) -> None:
    await asyncio.gather(*(worker.close() for worker in workers))


def freeze_heap() -> None:
    """Take what lives as long as the service out of the garbage collector's sight, and have it look less often.

    Its full rounds look at every object of every imported module: pauses of a tenth of a second, every few seconds
    under load, in which nobody is answered; with hundreds of requests in flight even those over new objects take ten
    milliseconds. Requests leave no cycles behind, closed connections small ones; what a bundle before this one has left
    comes into sight once more. The imports have left next to nothing, and a look at all they have made takes a tenth of
    a second.
    """
    if gc.get_freeze_count():
        gc.unfreeze()
        gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
