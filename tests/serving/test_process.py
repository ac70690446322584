from __future__ import annotations

import asyncio
import os
import signal

import pytest

from serving import process
from serving.process import end_with_parent, supervised_task


def signals_sent(monkeypatch) -> list[tuple[int, int]]:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    return sent


def test_a_task_that_fails_shuts_the_process_down_with_its_name_in_the_log(monkeypatch, caplog):
    sent = signals_sent(monkeypatch)

    async def fail() -> None:
        raise KeyError("a reason")

    async def main() -> None:
        with pytest.raises(KeyError):
            await supervised_task(fail(), "bundle")
        await asyncio.sleep(0)

    asyncio.run(main())
    assert sent == [(os.getpid(), signal.SIGTERM)]
    assert "the task 'bundle' failed; the process shuts down" in caplog.text


def test_a_task_that_ends_or_is_cancelled_leaves_the_process_alone(monkeypatch):
    sent = signals_sent(monkeypatch)

    async def main() -> None:
        await supervised_task(asyncio.sleep(0), "short")
        task = supervised_task(asyncio.sleep(60), "long")
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert sent == []


@pytest.mark.parametrize("known", [True, False])
def test_an_orphan_shuts_down_also_when_its_supervisor_had_ended_before(monkeypatch, caplog, known):
    sent = signals_sent(monkeypatch)
    monkeypatch.setenv(process.SUPERVISOR, "")
    with monkeypatch.context() as supervisor:
        supervisor.setattr(os, "getpid", lambda: 4711)
        if known:
            process.supervise()
    parents = iter([1] if known else [4711, 4711, 4711, 1])
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr(process, "PARENT_POLL_S", 0.001)
    asyncio.run(end_with_parent())
    assert sent == [(os.getpid(), signal.SIGTERM)]
    assert "the supervisor (pid 4711) has ended" in caplog.text
