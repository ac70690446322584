"""The life of a service under load: a bundle is swapped, SIGTERM comes; nobody is left without an answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import psutil
import pytest

from serving.predictor import Predictor
from serving.worker.command import MODULE
from shared.bundle import Bundle
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import Server, metric, serving

pytestmark = pytest.mark.slow

CLIENTS = 8


class Crowd:
    """Clients that ask all the time; what each answer was is counted.

    Without keep_alive each request has a connection of its own: a proxy that reads its file again closes the idle
    connections of its clients, and one that sends at that moment finds its connection closed, whatever stands behind.
    """

    def __init__(self, server: Server, *, keep_alive: bool = True) -> None:
        self.statuses: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self._url = server.url
        self._headers = {} if keep_alive else {"Connection": "close"}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=10) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post("/predict", json={"text": "i am happy"})
                except httpx.TransportError as error:
                    refused = isinstance(error, httpx.ConnectError)  # nobody listens any more: nothing was taken on
                    self.statuses["refused" if refused else f"lost: {error!r}"] += 1
                    return
                self.statuses[str(answer.status_code)] += 1
                self.models[answer.json().get("model", "")] += 1


def until(condition, timeout_s: float = 20) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        time.sleep(0.05)


def link_to(link: Path, target: Path) -> None:
    new = link.with_suffix(".new")
    new.symlink_to(target)
    new.replace(link)


def test_a_bundle_is_swapped_without_losing_a_request_and_a_bad_one_is_not_taken(tmp_path):
    first, second = (stand_in_bundle(tmp_path / name, seed=seed) for name, seed in (("first", 0), ("second", 1)))
    bad = stand_in_bundle(tmp_path / "bad", seed=2)
    (bad / "thresholds.json").write_text("{}", encoding="utf-8")
    link = tmp_path / "latest"
    link_to(link, first)
    with serving(tmp_path / "server", link, watch_s=0.2) as server:
        with Crowd(server) as crowd:
            until(lambda: crowd.models[Bundle.read(first).seal] > 20)
            link_to(link, second)
            until(lambda: crowd.models[Bundle.read(second).seal] > 20)
            link_to(link, bad)
            until(lambda: "The bundle in service stays." in server.log)
            time.sleep(0.3)
        assert set(crowd.statuses) == {"200"}
        assert set(crowd.models) == {Bundle.read(path).seal for path in (first, second)}
        assert "thresholds.json" in server.log
        text = "i am happy"
        after = httpx.post(f"{server.url}/predict", json={"text": text, "probabilities": True}, timeout=10).json()
    predictor = Predictor.load(second, threads=1)
    expected = predictor.probabilities(predictor.logits([text]))[0]
    assert list(after["results"][0]["probabilities"].values()) == pytest.approx(expected.tolist(), abs=1e-6)


def test_sigterm_under_load_loses_nothing(tmp_path):
    bundle = stand_in_bundle(tmp_path / "bundle")
    with serving(tmp_path / "server", bundle, drain_s=0.5) as server, Crowd(server) as crowd:
        until(lambda: crowd.statuses["200"] > 50)
        server.terminate()
        assert server.process.wait(20) == 0
    assert set(crowd.statuses) <= {"200", "503", "refused"}
    assert crowd.statuses["200"] > 50


def test_sigterm_answers_what_is_under_way_and_then_ends(tmp_path):
    bundle = stand_in_bundle(tmp_path / "bundle")

    def ask(connection: http.client.HTTPConnection) -> tuple[int, str | None]:
        connection.request("POST", "/predict", json.dumps({"text": "i am happy"}))
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, answer.headers["connection"]

    with serving(tmp_path / "server", bundle, drain_s=0.5) as server:
        host, port = server.url.removeprefix("http://").split(":")
        soon, late = (http.client.HTTPConnection(host, int(port), timeout=10) for _ in range(2))
        soon.connect()
        server.terminate()
        time.sleep(0.2)
        assert httpx.get(f"{server.url}/readyz", timeout=5).status_code == 503
        assert ask(soon) == (200, "close")
        late.connect()
        time.sleep(1)  # nobody else is served any more
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/readyz", timeout=5)
        assert ask(late) == (200, "close")
        assert server.process.wait(20) == 0


def has_ended(process: psutil.Process) -> bool:
    """Whether nothing runs any more; its supervisor, who looks every ten seconds, may not know it yet."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def model_processes(server: Server) -> list[psutil.Process]:
    everything = psutil.Process(server.process.pid).children(recursive=True)
    return [process for process in everything if not has_ended(process) and MODULE in process.cmdline()]


def test_a_killed_model_process_costs_what_it_held_and_is_replaced(tmp_path):
    bundle = stand_in_bundle(tmp_path / "bundle")
    with serving(tmp_path / "server", bundle, workers=2) as server:
        with Crowd(server) as crowd:
            until(lambda: crowd.statuses["200"] > 50)
            before = model_processes(server)
            assert len(before) == 2
            before[0].kill()
            until(lambda: "a worker was lost; another one starts" in server.log)
            until(lambda: len(model_processes(server)) == 2)
            answered = crowd.statuses["200"]
            until(lambda: crowd.statuses["200"] > answered + 50)
        assert set(crowd.statuses) <= {"200", "503"}
        assert crowd.statuses["503"] <= CLIENTS
        assert metric(server.url, "emotion_model_failures_total") == 1
        after = model_processes(server)
        server.terminate()
        assert server.process.wait(20) == 0
    assert all(map(has_ended, after))
