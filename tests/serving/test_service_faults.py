"""What an operator meets at night, on the real service: bad bundles, a dead supervisor, a log that nobody reads."""

from __future__ import annotations

import json
import os
import subprocess
import threading

import httpx
import psutil
import pytest

from shared.bundle import Bundle
from tests.serving import servers
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import Server, metric, serving
from tests.serving.test_service_life import link_to, until

pytestmark = pytest.mark.slow


def test_a_bundle_without_labels_is_refused_and_the_next_good_one_loads(tmp_path):
    first, second, bad = (stand_in_bundle(tmp_path / name, seed=seed) for seed, name in enumerate(("a", "b", "bad")))
    manifest = json.loads((bad / "bundle.json").read_text(encoding="utf-8"))
    (bad / "bundle.json").write_text(json.dumps({**manifest, "labels": None}), encoding="utf-8")
    link = tmp_path / "latest"
    link_to(link, first)
    with serving(tmp_path / "server", link, watch_s=0.2) as server:
        link_to(link, bad)
        until(lambda: metric(server.url, "emotion_bundle_loads_total", {"outcome": "refused"}) == 1)
        assert "'labels' is 'None', expected names. The bundle in service stays." in server.log
        link_to(link, second)
        seal = Bundle.read(second).seal
        until(lambda: httpx.get(f"{server.url}/model", timeout=10).json()["seal"] == seal)
        assert "Traceback" not in server.log


def test_orphans_of_a_killed_supervisor_end(tmp_path):
    bundle = stand_in_bundle(tmp_path / "bundle")
    with serving(tmp_path / "server", bundle) as server:
        family = psutil.Process(server.process.pid).children(recursive=True)
        assert len(family) >= 2
        server.process.kill()
        server.process.wait(10)
        _, alive = psutil.wait_procs(family, timeout=20)
        assert alive == []
        assert "has ended; the process shuts down" in server.log


def test_a_log_that_nobody_reads_stops_nobody(tmp_path):
    bundle = stand_in_bundle(tmp_path / "bundle")
    reading, writing = os.pipe()
    port = servers.free_port()
    process = subprocess.Popen(
        servers.command(port), cwd=servers.ROOT, env=servers.environment(tmp_path, bundle=bundle), stdout=writing,
        stderr=writing, start_new_session=True,
    )  # fmt: skip
    os.close(writing)
    try:
        server = Server(f"http://127.0.0.1:{port}", process, tmp_path / "none")
        server.log_file.touch()
        servers.wait_until_ready(server)
        with httpx.Client(base_url=server.url, timeout=10) as client:
            for _ in range(600):  # each has a line of about 200 bytes; the pipe takes 64 KiB
                assert client.post("/predict", json={"text": "i am happy"}).status_code == 200
        drain = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(reading, 2**16), b"")], daemon=True)
        drain.start()
    finally:
        servers.stop(process)


def test_it_starts_without_a_home_and_writes_below_bentoml_home_alone(tmp_path, monkeypatch):
    bundle = stand_in_bundle(tmp_path / "bundle")
    monkeypatch.delenv("HOME", raising=False)
    before = {path: path.stat().st_mtime_ns for path in bundle.rglob("*")}
    with serving(tmp_path / "server", bundle) as server:
        assert httpx.post(f"{server.url}/predict", json={"text": "i am happy"}, timeout=10).status_code == 200
    assert {path: path.stat().st_mtime_ns for path in bundle.rglob("*")} == before
