"""Model processes that were started ahead: taken once each, like children from then on; the others end."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from serving.worker import ahead
from serving.worker.client import ModelProcess, ProcessLostError
from serving.worker.command import MODELS_AHEAD
from serving.worker.wire import Load
from shared.errors import BundleTamperedError
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
