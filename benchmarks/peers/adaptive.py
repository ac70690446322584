"""The same model on BentoML's adaptive batching, tuned.

Run: EMOTION_BUNDLE=... bentoml serve benchmarks.peers.adaptive:AdaptiveEmotion --port 3001

The numbers below are the best of those tried with 64 clients, see benchmarks/README.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bentoml

from benchmarks.peers.answering import Answerer
from shared.bundle import default_bundle_path
from shared.cli import default_threads

WORKERS = int(os.environ.get("PEER_WORKERS", "0")) or default_threads()
THREADS = int(os.environ.get("PEER_THREADS", "1"))
MAX_BATCH = int(os.environ.get("PEER_MAX_BATCH", "32"))
MAX_LATENCY_MS = int(os.environ.get("PEER_MAX_LATENCY_MS", "10000"))


@bentoml.service(
    name="adaptive-emotion",
    workers=WORKERS,
    traffic={"timeout": 30},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class AdaptiveEmotion:
    """A batchable endpoint takes one list, and answers with a list."""

    def __init__(self) -> None:
        bundle = os.environ.get("EMOTION_BUNDLE")
        self.answerer = Answerer(Path(bundle) if bundle else default_bundle_path(), threads=THREADS)

    # the decorator has no types
    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=MAX_LATENCY_MS)  # type: ignore
    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        """One result for each text."""
        return self.answerer.answer(texts)
