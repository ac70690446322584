"""Prometheus metrics of the service: times, sizes, decisions; never a text."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from serving.batching.jobs import Row
from serving.telemetry.drift import NONE_NEAR, mean_index, nearest_profile
from serving.worker.wire import Loaded
from shared.errors import RequestError
from shared.profiles import DEFAULT

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_TOKENS = (4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_SHARES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """Every metric of one process, in a registry of its own.

    Args:
        several_processes: share them through the folder that BentoML sets up, so that each process reports all.
            One process keeps them in memory: services on one machine clear each other's folder.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, *, several_processes: bool = False) -> None:
        self._shared = several_processes and MULTIPROCESS in os.environ
        if not self._shared:
            values.ValueClass = values.MutexValue
            os.environ.pop(MULTIPROCESS, None)
        self.registry = CollectorRegistry()
        own: Any = {"registry": self.registry}
        self._about_requests(own)
        self._about_batches(own)
        self._about_texts(own)
        self.model = Gauge(
            "emotion_model_info", "1 for the bundle in service.", ["seal", "precision", "provider"],
            multiprocess_mode="livemax", **own,
        )  # fmt: skip
        self.drift = Gauge(
            "emotion_drift_psi", "Population stability index of the last texts against the bundle's reference rows.",
            ["of"], multiprocess_mode="livemax", **own,
        )  # fmt: skip
        self.profile_drift = Gauge(
            "emotion_drift_profile_psi", "Mean index of the last texts against those a profile of the bundle is for.",
            ["profile"], multiprocess_mode="livemax", **own,
        )  # fmt: skip
        self.nearest = Gauge(
            "emotion_drift_nearest_profile", "1 for the profile that the last texts are nearest to, or for none.",
            ["profile"], multiprocess_mode="mostrecent", **own,
        )  # fmt: skip
        self._about_workers(own)
        if not self._shared:
            ProcessCollector(registry=self.registry)

    def _about_requests(self, own: Any) -> None:
        self.requests = Counter("emotion_requests", "Requests by route and status.", ["route", "status"], **own)
        self.request_seconds = Histogram(
            "emotion_request_seconds", "Time from the headers to the answer.", ["route"], buckets=_SECONDS, **own
        )
        self.wrong_keys = Counter("emotion_wrong_api_keys", "Requests with a wrong API key.", **own)
        self.in_flight = Gauge("emotion_in_flight", "Requests to /predict now.", multiprocess_mode="livesum", **own)

    def _about_batches(self, own: Any) -> None:
        self.queue_wait = Histogram(
            "emotion_queue_wait_seconds", "Time of a text from its arrival to its model run.", buckets=_SECONDS, **own
        )
        self.tokenising = Histogram(
            "emotion_tokenising_seconds", "Time to tokenise texts together.", buckets=_SECONDS, **own
        )
        self.inference = Histogram("emotion_inference_seconds", "Time of one model run.", buckets=_SECONDS, **own)
        self.batch_tokens = Histogram(
            "emotion_batch_tokens", "Tokens of one model run, padding included.", buckets=_TOKENS, **own
        )
        self.batch_texts = Histogram("emotion_batch_texts", "Texts of one model run.", buckets=_TEXTS, **own)
        self.padding = Histogram("emotion_padding_ratio", "Share of padding in one run.", buckets=_SHARES, **own)
        self.crashes = Counter("emotion_model_failures", "Model runs that failed.", **own)

    def _about_workers(self, own: Any) -> None:
        live: Any = {"multiprocess_mode": "livesum", **own}
        self.queue_texts = Gauge("emotion_queue_texts", "Texts waiting or running now.", **live)
        self.workers_alive = Gauge("emotion_workers_alive", "Model processes that answer now.", **live)
        self.worker_memory = Gauge("emotion_workers_memory_bytes", "Memory of the model processes together.", **live)
        self.restarts = Counter(
            "emotion_worker_restarts",
            "Model processes replaced because they ended or hung.",
            ["reason"],
            **own,
        )
        self.loads = Counter("emotion_bundle_loads", "Bundles loaded, refused, or failed to load.", ["outcome"], **own)
        self.dropped_lines = Counter("emotion_log_lines_dropped", "Lines of the log that nobody read in time.", **own)
        self._dropped_before = 0

    def _about_texts(self, own: Any) -> None:
        self.texts = Counter("emotion_texts", "Texts by outcome.", ["outcome"], **own)
        self.input_tokens = Histogram(
            "emotion_input_tokens", "Tokens of a text before truncation.", buckets=_TOKENS, **own
        )
        self.truncations = Counter("emotion_truncated_texts", "Texts longer than the model reads.", **own)
        self.decisions = Counter("emotion_decisions", "Labels decided.", ["label"], **own)
        self.confidence = Histogram("emotion_confidence", "Largest probability of a text.", buckets=_SHARES, **own)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format; of all server processes where there are several."""
        if not self._shared:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def drifted(self, indices: Mapping[str, Mapping[str, float]]) -> None:
        """How far the last texts are from those of each profile, by `Drift.indices_by_profile`."""
        if not indices:
            return
        for name, index in indices[DEFAULT].items():
            self.drift.labels(name).set(index)
        nearest = nearest_profile(indices)
        for profile, found in indices.items():
            self.profile_drift.labels(profile).set(mean_index(found))
        for profile in (*indices, NONE_NEAR):
            self.nearest.labels(profile).set(profile == nearest)

    def tokenised(self, num_texts: int, seconds: float) -> None:
        """Texts became tokens."""
        self.tokenising.observe(seconds)

    def ran(self, lengths: Sequence[int], waits: Sequence[float], seconds: float) -> None:
        """A batch of texts of these `lengths` in tokens ran, after its texts had waited for `waits` seconds."""
        padded = max(lengths) * len(lengths)
        self.inference.observe(seconds)
        self.batch_tokens.observe(padded)
        self.batch_texts.observe(len(lengths))
        self.padding.observe(1 - sum(lengths) / padded)
        for wait in waits:
            self.queue_wait.observe(wait)

    def crashed(self) -> None:
        """A model run raised."""
        self.crashes.inc()

    def worker_lost(self, reason: str) -> None:
        """A model process is to be replaced."""
        self.restarts.labels(reason).inc()

    def workers(self, *, held: int, alive: int, pids: Sequence[int]) -> None:
        """How the model processes stand now: texts held for them, how many answer, and who they are."""
        self.queue_texts.set(held)
        self.workers_alive.set(alive)
        self.worker_memory.set(sum(map(_memory_bytes, pids)))

    def dropped(self, lines: int) -> None:
        """So many lines of the log were dropped since the start."""
        self.dropped_lines.inc(lines - self._dropped_before)
        self._dropped_before = lines

    def answered(self, row: Row, decided: NDArray[np.bool_], labels: Sequence[str]) -> None:
        """A text has its answer; `decided` is of shape (L,)."""
        self.texts.labels("answered").inc()
        self.input_tokens.observe(row.num_tokens)
        self.truncations.inc(row.truncated)
        self.confidence.observe(float(row.probabilities.max()))
        for column in np.flatnonzero(decided).tolist():
            self.decisions.labels(labels[column]).inc()

    def refused_text(self, error: RequestError) -> None:
        """A text has an error of its own."""
        self.texts.labels(error.error).inc()

    def finished(self, route: str, status: int, seconds: float) -> None:
        """A request has its answer."""
        self.requests.labels(route, str(status)).inc()
        self.request_seconds.labels(route).observe(seconds)

    def loaded(self, model: Loaded) -> None:
        """Another bundle is in service."""
        for gauge in (self.model, self.drift, self.profile_drift, self.nearest):
            if self._shared:
                _set_to_zero(gauge)
            else:
                gauge.clear()
        self.model.labels(model.seal[:12], model.precision, model.provider).set(1)


def _set_to_zero(gauge: Gauge) -> None:
    """What stands for `clear` where processes share their metrics: there, the library has none."""
    for family in gauge.collect():
        for sample in family.samples:
            gauge.labels(**sample.labels).set(0)


def _memory_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:  # it has just ended
        return 0
