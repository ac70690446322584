"""Model processes that were started ahead: taken once each, like children from then on; the others end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from serving.engine import Engine
from serving.settings import Settings
from serving.telemetry.metrics import Metrics
from serving.worker import ahead
from serving.worker.client import ModelProcess, ProcessHungError, ProcessLostError
from serving.worker.command import MODELS_AHEAD
from serving.worker.wire import Load
from shared.bundle import Bundle
from shared.errors import BundleTamperedError
from shared.files import read_json, write_json
from tests.serving.bundles import stand_in_bundle


@pytest.fixture
def started(monkeypatch):
    """The processes that were started ahead, the newest last, and the socket through which they are asked for."""
    held: list = []
    monkeypatch.setenv(MODELS_AHEAD, "")
    monkeypatch.setattr(ahead, "_held", held)
    yield held
    held[-1].close()
    for process in held[:-1]:
        process.wait(20)


def test_they_are_taken_once_each_and_then_others_are_started(tmp_path, started):
    load = Load(stand_in_bundle(tmp_path / "bundle"), threads=1)

    async def scenario():
        first = await ModelProcess.start(load)
        other = await ModelProcess.start(Load(load.path, precision="fp32", threads=1))
        own = await ModelProcess.start(load)
        answers = [await process.run(await process.encode(["i am happy"])) for process in (first, other, own)]
        os.kill(first.pid, signal.SIGKILL)
        with pytest.raises(ProcessLostError, match=rf"model process {first.pid} has ended by signal 9 \(SIGKILL\)"):
            await first.ping()
        for process in (first, other, own):
            await process.close()
        return answers, [process.pid for process in (first, other, own)]

    ahead.start_ahead(load, 2)
    answers, pids = asyncio.run(scenario())
    assert {process.pid for process in started[:-1]} == set(pids[:2])
    np.testing.assert_array_equal(answers[0], answers[2])
    np.testing.assert_array_equal(answers[1], answers[2])


def test_what_the_user_has_to_mend_is_said_when_one_is_asked_for(tmp_path, started):
    bundle = stand_in_bundle(tmp_path / "bundle")
    load = Load(bundle, threads=1)
    (bundle / "thresholds.json").write_text("{}", encoding="utf-8")
    ahead.start_ahead(load, 1)
    with pytest.raises(BundleTamperedError, match=r"thresholds\.json"):
        asyncio.run(ModelProcess.start(load))


def test_those_that_nobody_can_ask_for_end(tmp_path, started):
    ahead.start_ahead(Load(Path(tmp_path / "nothing")), 1)
    started[-1].close()
    assert started[0].wait(30) == 0
    assert asyncio.run(ahead.AheadProcess.take(1)) is None


def test_a_bundle_that_takes_the_place_of_the_one_it_has_loaded_is_loaded_anew(tmp_path, started, monkeypatch):
    path, other = (stand_in_bundle(tmp_path / name, seed=seed) for seed, name in enumerate(("bundle", "other")))
    seals = [Bundle.read(folder).seal for folder in (path, other)]
    settings = Settings(bundle=path, workers=1, watch_s=0)

    async def scenario():
        taken = await ahead.AheadProcess.take(60)  # it has loaded
        path.rename(tmp_path / "before")
        other.rename(path)

        async def take(timeout_s):
            return taken

        monkeypatch.setattr(ahead.AheadProcess, "take", take)
        monkeypatch.setattr("serving.engine.freeze_heap", lambda: None)
        engine = Engine(settings, Metrics())
        await engine.start()
        active, pids = engine.require(), {process.pid for process in engine._processes}
        await engine.stop()
        return active, pids

    ahead.start_ahead(Load.by(settings, path, seals[0]), 1)
    active, pids = asyncio.run(scenario())
    assert active.bundle.seal == active.model.seal == seals[1]
    assert pids == {started[0].pid}


def test_a_bundle_that_is_exported_again_is_another_to_load_under_the_same_seal(tmp_path):
    path = stand_in_bundle(tmp_path / "bundle")
    settings, seal = Settings(bundle=path, workers=1), Bundle.read(path).seal
    before = Load.by(settings, path, seal)
    assert Load.by(settings, path, seal) == before  # so that a process that has loaded it is taken as it is
    verification = read_json(path / "onnx" / "verification.json")
    write_json(path / "onnx" / "verification.json", verification)
    assert Load.by(settings, path, seal) != before


def test_one_that_hangs_is_waited_for_once(tmp_path, started):
    load = Load(stand_in_bundle(tmp_path / "bundle"), threads=1)

    async def scenario():
        with pytest.raises(ProcessHungError, match=r"started ahead has answered within 0\.3 s"):
            await ModelProcess.start(load, load_timeout_s=0.3)
        assert await ahead.AheadProcess.take(60) is None
        own = await ModelProcess.start(load)
        await own.close()
        return own.pid

    ahead.start_ahead(load, 1)
    started[0].send_signal(signal.SIGSTOP)
    try:
        assert asyncio.run(asyncio.wait_for(scenario(), 30)) != started[0].pid
    finally:
        started[0].send_signal(signal.SIGCONT)
    assert started[0].wait(30) == 0


def test_one_whose_load_hangs_ends_by_itself_and_its_time_counts(tmp_path, started, monkeypatch):
    hangs = """import time
from serving.worker import __main__ as process
process.LOAD_TIMEOUT_S, process._load = 0.5, lambda load: time.sleep(60)
process.main()"""
    monkeypatch.setattr(ahead, "COMMAND", (sys.executable, "-c", hangs))
    limits = []

    async def ask(self, request, timeout_s):
        limits.append(timeout_s)
        raise ProcessLostError

    monkeypatch.setattr(ModelProcess, "_ask", ask)
    ahead.start_ahead(Load(tmp_path), 1)
    with pytest.raises(ProcessLostError):
        asyncio.run(ModelProcess.start(Load(tmp_path), load_timeout_s=60))
    assert started[0].wait(5) == -signal.SIGALRM
    assert 0 < limits[0] < 59.5


def test_one_that_is_no_longer_waited_for_ends(tmp_path, started):
    load = Load(stand_in_bundle(tmp_path / "bundle"), threads=1)

    async def scenario():
        waiting = asyncio.create_task(ahead.AheadProcess.take(60))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        started[0].send_signal(signal.SIGCONT)
        return await asyncio.to_thread(started[0].wait, 20)

    ahead.start_ahead(load, 1)
    started[0].send_signal(signal.SIGSTOP)
    assert asyncio.run(scenario()) == 0
