"""A real process with a real bundle: what it answers, how it ends, and what becomes of those who ask a dead one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from serving.cuda_options import CudaOptions
from serving.predictor import Predictor
from serving.worker import client
from serving.worker.__main__ import NICENESS
from serving.worker.client import ModelProcess, ProcessHungError, ProcessLostError
from serving.worker.wire import Load, Tokens
from shared.bundle import Bundle
from shared.errors import BundleTamperedError, ConfigError
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import ROOT

TEXTS = ["i am happy", "so sad", "zebra " * 300]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return stand_in_bundle(tmp_path_factory.mktemp("process") / "bundle")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def test_it_answers_what_the_predictor_answers_here(bundle):
    async def scenario():
        unused_here = CudaOptions(memory_mb=256, graphs=True)
        process = await ModelProcess.start(Load(bundle, threads=1, cuda=unused_here))
        try:
            tokens = await process.encode(TEXTS)
            return process.loaded, tokens, await process.run(tokens)
        finally:
            await process.close()

    loaded, tokens, probabilities = asyncio.run(scenario())
    predictor = Predictor.load(bundle, threads=1)
    assert (loaded.seal, loaded.precision) == (Bundle.read(bundle).seal, predictor.precision)
    expected = predictor.tokenizer.encode(TEXTS)
    assert [row[:3] for row in tokens] == [Tokens.of(row)[:3] for row in expected]
    assert tokens[2].warnings == ("truncated",)
    assert [row.truncated for row in tokens] == [False, False, True]
    np.testing.assert_array_equal(probabilities, predictor.probabilities(predictor.run(expected)))


def test_a_request_that_fails_costs_only_itself_and_its_text_is_not_repeated(bundle, capfd):
    async def scenario():
        process = await ModelProcess.start(Load(bundle, threads=1))
        try:
            with pytest.raises(RuntimeError, match=r"^[A-Za-z]+$") as unreadable:
                await process.encode(["zebracrossing", 7])  # type: ignore[list-item]
            with pytest.raises(RuntimeError, match=r"^[A-Za-z]+$"):
                await process.run([Tokens(np.array([2**30], np.int32).tobytes(), 1, False)])
            return unreadable.value, await process.run(await process.encode(["i am happy"]))
        finally:
            await process.close()

    error, probabilities = asyncio.run(scenario())
    assert probabilities.shape[0] == 1
    assert "zebra" not in str(error) + capfd.readouterr().err


def test_it_runs_behind_whoever_asks_and_ends_when_told(bundle):
    async def scenario():
        process = await ModelProcess.start(Load(bundle, threads=1))
        niceness = os.getpriority(os.PRIO_PROCESS, process.pid)
        for number in (signal.SIGTERM, signal.SIGINT):  # sent to the whole group, by Ctrl-C or a supervisor
            os.kill(process.pid, number)
        await process.encode(["still there"])
        await process.close()
        await process.close()
        return process.pid, niceness

    pid, niceness = asyncio.run(scenario())
    assert niceness == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
    assert not is_alive(pid)


def test_one_that_hangs_while_it_loads_is_killed(bundle):
    async def main() -> None:
        with pytest.raises(ProcessHungError, match=r"did not answer a Load within 0\.0 s: killed"):
            await ModelProcess.start(Load(bundle, threads=1), load_timeout_s=0.01)

    asyncio.run(main())


def test_one_that_hangs_is_killed(bundle, monkeypatch):
    monkeypatch.setattr(client, "CLOSE_TIMEOUT_S", 0.1)

    async def scenario():
        process = await ModelProcess.start(Load(bundle, threads=1))
        os.kill(process.pid, signal.SIGSTOP)
        await process.close()
        return process.pid

    assert not is_alive(asyncio.run(scenario()))


def test_one_that_does_not_answer_in_time_is_killed_with_its_pid_in_the_error(bundle):
    async def scenario():
        process = await ModelProcess.start(Load(bundle, threads=1), timeout_s=0.5)
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(ProcessHungError, match=rf"model process {process.pid} did not answer a Ping") as hung:
            await process.ping()
        await process.close()
        return process.pid, hung.value.reason

    pid, reason = asyncio.run(scenario())
    assert reason == "hung"
    assert not is_alive(pid)


def test_long_texts_have_more_time_to_be_tokenised():
    process, limits = object.__new__(ModelProcess), []
    process._timeout_s = 5.0

    async def ask(_request, limit_s):
        limits.append(limit_s)

    process._ask = ask  # type: ignore[method-assign]
    asyncio.run(process.encode(["short"]))
    asyncio.run(process.encode(["x" * 1_000_000, "y" * 3_000_000]))
    assert limits == pytest.approx([5.0, 45.0], abs=0.001)


def test_how_a_process_ended_is_said(bundle):
    async def scenario():
        process = await ModelProcess.start(Load(bundle, threads=1))
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(ProcessLostError, match=rf"model process {process.pid} has ended by signal 9 \(SIGKILL\)"):
            await process.ping()
        await process.close()

    asyncio.run(scenario())


def test_who_asks_a_dead_process_hears_of_it(bundle):
    async def scenario():
        process = await ModelProcess.start(Load(bundle, threads=1))
        os.kill(process.pid, signal.SIGSTOP)
        asking = asyncio.create_task(process.encode(["under way"]))
        await asyncio.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(ProcessLostError, match="has ended"):
            await asking
        with pytest.raises(ProcessLostError, match="has ended"):
            await process.run([])
        await process.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("spoil", "options", "error", "message"),
    [
        (True, {}, BundleTamperedError, "thresholds.json"),
        (False, {"precision": "int3"}, ConfigError, "unknown precision 'int3'. Allowed"),
    ],
)
def test_what_the_user_has_to_mend_comes_through_as_it_was_said(tmp_path, spoil, options, error, message):
    bundle = stand_in_bundle(tmp_path / "bundle")
    if spoil:
        (bundle / "thresholds.json").write_text("{}", encoding="utf-8")
    with pytest.raises(error, match=message):
        asyncio.run(ModelProcess.start(Load(bundle, **options)))


ORPHANING = """
import asyncio, pathlib, sys
from serving.worker.client import ModelProcess
from serving.worker.wire import Load

async def main():
    process = await ModelProcess.start(Load(pathlib.Path(sys.argv[1]), threads=1))
    print(process.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_it_ends_with_whoever_started_it(bundle):
    with subprocess.Popen([sys.executable, "-c", ORPHANING, bundle], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    end = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < end, "it lives on"
        time.sleep(0.02)
