"""The engine behind the endpoint: a loaded bundle, its batcher, and the answer to one request."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.online.answers import error_body, result, rules_for
from serving.online.batching import Batcher
from serving.online.drift import Drift
from serving.online.jobs import Row
from serving.online.metrics import Metrics
from serving.online.schemas import PredictRequest, check_text
from serving.online.settings import Settings
from serving.predictor import Predictor
from shared.bundle import MANIFEST, ONNX_FOLDER, VERIFICATION
from shared.errors import EmotionError, NotReadyError, RequestError
from shared.thresholds import decide
from shared.tokenizer import Encoded

logger = logging.getLogger("emotion.engine")

WARM_UP_TEXTS = ("warm up", "a longer sentence to warm up with, " * 8, "the longest one " * 200)


@dataclass(frozen=True)
class BatchedModel:
    """A predictor as the batcher wants it."""

    predictor: Predictor

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Token ids of N texts."""
        return self.predictor.tokenizer.encode(texts)

    def run(self, encoded: Sequence[Encoded]) -> NDArray[np.float64]:
        """Calibrated probabilities of one padded batch, shape (N, L)."""
        return self.predictor.probabilities(self.predictor.run(encoded))


@dataclass(frozen=True)
class Live:
    """A bundle in service."""

    predictor: Predictor
    batcher: Batcher


Fingerprint = tuple[object, ...]


def fingerprint(path: Path) -> Fingerprint | None:
    """What tells one bundle at `path` from another without reading it; None while there is none that is verified."""
    try:
        folder = path.resolve(strict=True)
        states = [(folder / name).stat() for name in (MANIFEST, f"{ONNX_FOLDER}/{VERIFICATION}")]
    except OSError:
        return None
    return (folder, *((state.st_ino, state.st_mtime_ns, state.st_size) for state in states))


class Engine:
    """Loads a bundle, answers requests with it, and lets go of it.

    Args:
        settings: what the environment says.
        metrics: where times, sizes and decisions are counted.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.live: Live | None = None
        self.draining = False
        self._problem = "the service is starting."

    @property
    def ready(self) -> bool:
        """Whether requests are answered and new ones welcome: a bundle is warm and no shutdown has begun."""
        return self.live is not None and not self.draining

    def require(self) -> Live:
        """The bundle in service.

        Raises:
            NotReadyError: while there is none.
        """
        if self.live is None:
            raise NotReadyError(self._problem, hint="Wait until GET /readyz answers 200.")
        return self.live

    async def start(self) -> None:
        """Load and warm up the bundle of the settings, then watch for another one at its path.

        A bundle that is refused leaves the service not ready: the log says why.
        """
        started = time.perf_counter()
        path = self.settings.bundle
        seen = fingerprint(path)
        try:
            await self.load(path)
            logger.info("ready after %.1f s", time.perf_counter() - started)
        except (EmotionError, OSError) as error:
            self._problem = "the bundle was refused; the log of the service says why."
            logger.error("error: %s", error)  # noqa: TRY400 - the message says it all
        if self.settings.watch_s:
            await self._watch(path, seen)

    async def _watch(self, path: Path, seen: Fingerprint | None) -> None:
        """Load the bundle again whenever its path leads to another one; a refused one leaves the old in service."""
        while True:
            await asyncio.sleep(self.settings.watch_s)
            found = await asyncio.to_thread(fingerprint, path)
            if found in (None, seen):
                continue
            seen = found
            try:
                await self.load(path)
            except (EmotionError, OSError) as error:
                logger.error("error: %s The bundle in service stays.", error)  # noqa: TRY400 - the message says it all

    async def load(self, path: Path) -> Live:
        """Put the bundle at `path` into service; the one before stays until the new one is warm, then drains.

        Raises:
            BundleError: when the bundle is missing, incomplete or was changed.
            VerificationError: when its model is unverified, failed, or is stale.
        """
        predictor, drift = await asyncio.to_thread(self._open, path)
        before, self.live = self.live, Live(predictor, self._batcher(predictor))
        self.metrics.loaded(predictor, drift)
        _set_aside_for_good()
        logger.info("serving %s (%s, %s)", path, predictor.precision, predictor.provider)
        if before is not None:
            await before.batcher.close()
        return self.live

    def _open(self, path: Path) -> tuple[Predictor, Drift]:
        settings = self.settings
        predictor = Predictor.load(
            path, precision=settings.precision, provider=settings.provider, threads=settings.threads_per_run
        )
        for text in WARM_UP_TEXTS:
            predictor.logits([text])
        return predictor, Drift(predictor)

    def _batcher(self, predictor: Predictor) -> Batcher:
        return Batcher(
            BatchedModel(predictor),
            workers=self.settings.model_workers,
            max_tokens=self.settings.batch_tokens,
            max_texts=self.settings.queue_texts,
            observer=self.metrics,
        )

    async def stop(self) -> None:
        """Answer what is held, then let go of the bundle."""
        self.draining = True
        if self.live is not None:
            await self.live.batcher.close()

    async def predict(self, request: PredictRequest, *, timeout_s: float) -> dict[str, Any]:
        """The answer to a request, a `PredictResponse`.

        Raises:
            RequestError: when the request as a whole cannot be answered.
        """
        live = self.require()
        bundle = live.predictor.bundle
        rules = rules_for(request, bundle)
        checked = [self._checked(value) for value in request.candidates]
        if request.single and isinstance(checked[0], RequestError):
            raise checked[0]
        rows = iter(await live.batcher.submit([t for t in checked if isinstance(t, str)], timeout_s=timeout_s))
        answers = [next(rows) if isinstance(text, str) else text for text in checked]
        if request.single and isinstance(answers[0], RequestError):
            raise answers[0]
        results: list[dict[str, Any]] = []
        for answer in answers:
            if isinstance(answer, Row):
                results.append(result(answer, rules, bundle))
                self.metrics.answered(answer, decide(answer.probabilities, rules.thresholds), bundle.manifest.labels)
            else:
                results.append({"error": error_body(answer)})
                self.metrics.refused_text(answer)
        return {
            "results": results,
            "policy": rules.policy,
            "taxonomy": rules.taxonomy.name,
            "model": bundle.seal,
        }

    def _checked(self, value: Any) -> str | RequestError:
        try:
            return check_text(value, max_characters=self.settings.max_characters)
        except RequestError as error:
            return error


def _set_aside_for_good() -> None:
    """Take what lives as long as the service out of the collector's sight.

    Its full rounds look at every object of every imported module: pauses of a tenth of a second, every few seconds
    under load, in which nobody is answered. What an earlier bundle left behind comes into its sight once more.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
