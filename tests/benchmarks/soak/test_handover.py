"""The end of a server, watched: one that ends, and one that is stuck and must say where."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from benchmarks.peers.launch import Running
from benchmarks.soak import handover as module
from benchmarks.soak.handover import STACKS, Handover
from benchmarks.soak.tally import Tally
from shared.errors import NotReadyError

STUCK = """
import signal, time

def nowhere_to_go():
    print("ready", flush=True)
    time.sleep(60)

nowhere_to_go()
"""
SUPERVISOR = f"""
import signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: None)
raise SystemExit(subprocess.run([sys.executable, "-c", {STUCK!r}]).returncode and 7)
"""


@pytest.fixture
def start(tmp_path):
    processes = []

    def begin(code):
        log = tmp_path / "log"
        with log.open("wb") as stream:
            command = [sys.executable, "-c", code]
            process = subprocess.Popen(command, stdout=stream, stderr=stream, env=STACKS, start_new_session=True)
        processes.append(process)
        server = Running("ours", "http://127.0.0.1:1", process, log)
        end = time.monotonic() + 20
        while "ready" not in server.log and time.monotonic() < end:
            time.sleep(0.02)
        return server

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def test_a_server_that_ends_gives_its_code_and_time(start):
    found = Handover(Tally())
    module._end(start('import time; print("ready", flush=True); time.sleep(60)'), found)
    assert found.codes == [-15]
    assert 0 <= found.seconds[0] < 20
    assert found.stuck == []


def test_a_stuck_server_says_where_its_threads_are(start, monkeypatch):
    monkeypatch.setattr(module, "STUCK_S", 0.3)
    found = Handover(Tally())
    module._end(start(SUPERVISOR), found)
    assert found.codes == [7]
    assert "in nowhere_to_go" in found.stuck[0]


def test_a_server_that_never_ends_is_given_up(start, monkeypatch):
    monkeypatch.setattr(module, "STUCK_S", 0.1)
    monkeypatch.setattr(module, "END_S", 0.3)
    code = (
        'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print("ready", flush=True); time.sleep(60)'
    )
    with pytest.raises(NotReadyError, match="did not end within 0.3 s of SIGTERM"):
        module._end(start(code), Handover(Tally()))
