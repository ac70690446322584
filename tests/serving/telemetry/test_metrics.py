"""What several processes of one service say of themselves, whichever of them is asked."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from prometheus_client import values

from serving.engine import Engine
from serving.settings import Settings
from serving.telemetry.metrics import MULTIPROCESS, Metrics
from serving.worker.wire import Loaded
from tests.serving.batching.fakes import until


@pytest.fixture
def metrics_of(tmp_path, monkeypatch):
    """The metrics of one of the processes that share a folder, and from now on this process is that one."""
    monkeypatch.setenv(MULTIPROCESS, str(tmp_path))
    made: dict[str, tuple[type, Metrics]] = {}

    def become(process: str) -> Metrics:
        if process not in made:
            monkeypatch.setattr(values, "ValueClass", values.MultiProcessValue(lambda: process))
            made[process] = values.ValueClass, Metrics(several_processes=True)
        monkeypatch.setattr(values, "ValueClass", made[process][0])
        return made[process][1]

    return become


def shown(metrics: Metrics, name: str) -> dict[str, float]:
    """The lines of one metric: what is behind its name -> value."""
    lines = (line.rsplit(" ", 1) for line in metrics.render().decode().splitlines())
    return {sample.removeprefix(name): float(value) for sample, value in lines if sample.split("{")[0] == name}


def bundle(seal: str) -> Loaded:
    return Loaded(seal, "int8", "CPU", 0.01, np.array([1]), 0.1)


def test_a_process_that_nobody_asks_is_measured_too(metrics_of):
    asked, other = metrics_of("asked"), metrics_of("other")
    asked.workers(held=3, alive=2, pids=[])
    engine = Engine(Settings(workers=1), other)
    engine.active = type("Active", (), {"batcher": type("Batcher", (), {"held": 300, "num_workers": 4}),
                                        "drift": Drifting})  # type: ignore[assignment]  # fmt: skip

    async def main() -> None:
        measuring = asyncio.create_task(engine.keep_measuring())
        await until(lambda: shown(asked, "emotion_workers_alive") == {"": 6})
        measuring.cancel()

    asyncio.run(main())
    assert shown(asked, "emotion_queue_texts") == {"": 303}
    assert shown(asked, "emotion_drift_psi") == {'{of="labels"}': 0.3}
    assert shown(asked, "emotion_drift_nearest_profile") == {'{profile="default"}': 0, '{profile="none"}': 1}


class Drifting:
    @staticmethod
    def indices_by_profile() -> dict[str, dict[str, float]]:
        return {"default": {"labels": 0.3}}


def test_after_a_swap_one_bundle_is_in_service(metrics_of):
    for process in ("first", "second"):
        metrics_of(process).loaded(bundle("old"))
        metrics_of(process).drifted({"default": {"labels": 0.3}})
    old, new = (f'{{precision="int8",provider="CPU",seal="{seal}"}}' for seal in ("old", "new"))
    metrics_of("first").loaded(bundle("new"))
    assert shown(metrics_of("first"), "emotion_model_info") == {old: 1, new: 1}  # the second process has the old one
    metrics_of("second").loaded(bundle("new"))
    assert shown(metrics_of("first"), "emotion_model_info") == {old: 0, new: 1}
    assert shown(metrics_of("first"), "emotion_drift_psi") == {'{of="labels"}': 0}
