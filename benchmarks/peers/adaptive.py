"""The same model on BentoML's adaptive batching, tuned.

Run: EMOTION_BUNDLE=... bentoml serve benchmarks.peers.adaptive:AdaptiveEmotion --port 3001

Its numbers are the best of those tried with 64 clients. A worker runs one batch at a time, so one worker a core with
one thread each; a small `max_latency_ms` answers 503 by the hundred while its estimate of the model is still poor.
"""

from __future__ import annotations

from typing import Any

import bentoml

from benchmarks.peers.servers import Answerer
from shared.bundle import default_bundle_path
from shared.cli import default_threads


@bentoml.service(
    name="adaptive-emotion",
    workers=default_threads(),
    traffic={"timeout": 30},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class AdaptiveEmotion:
    """A batchable endpoint takes one list, and answers with a list."""

    def __init__(self) -> None:
        self.answerer = Answerer(default_bundle_path(), threads=1)

    # the decorator has no types
    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=10_000)  # type: ignore
    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        """One result for each text."""
        return self.answerer.answer(texts)
