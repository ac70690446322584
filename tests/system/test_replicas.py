"""Two replicas behind nginx, by the ready file: a swap of the bundle and a rolling restart lose nothing under load."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import httpx
import psutil
import pytest

from shared.bundle import Bundle
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import NO_CERTIFICATES, free_port, serving
from tests.serving.test_deploy_files import FOLDER
from tests.serving.test_service_life import CLIENTS, Crowd, link_to, until

pytestmark = [pytest.mark.slow, pytest.mark.system]

LEAST = 100
"""Answers that are awaited in every state of the replicas."""


class Proxy:
    """nginx with the ready file, without TLS, before several replicas."""

    def __init__(self, folder: Path, replicas: list[str]) -> None:
        self.folder, self.replicas, self.port = folder, replicas, free_port()
        self.url = f"http://127.0.0.1:{self.port}/emotion"
        folder.mkdir()
        self._write(without=None)
        with (folder / "log").open("wb") as output:
            command = [nginx_program(), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)

    def leave_out(self, replica: str | None) -> None:
        """Read the file again, with a replica marked as down, or none; what is under way there ends there."""
        self._write(without=replica)
        before = self._workers()
        self._process.send_signal(signal.SIGHUP)
        until(lambda: self._workers() - before, 20)

    def reached(self) -> Counter[str]:
        """Requests that one replica alone was asked for, by its address."""
        lines = (self.folder / "access.log").read_text(encoding="utf-8").splitlines()
        return Counter(address for line in lines if "," not in (address := line.split(" ", 1)[1].strip()))

    def _workers(self) -> set[int]:
        return {child.pid for child in psutil.Process(self._process.pid).children()}

    def _write(self, *, without: str | None) -> None:
        text = (FOLDER / "nginx.conf").read_text(encoding="utf-8")
        text = "\n".join(line for line in text.splitlines() if "ssl_certificate" not in line)
        text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{self.port};")
        one = "server 127.0.0.1:3000 max_fails=0;"
        assert one in text
        servers = (
            f"server {url.removeprefix('http://')} max_fails=0{' down' if url == without else ''};"
            for url in self.replicas
        )
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "".join(f"{kind}_temp_path {self.folder}/{kind};" for kind in kinds)
        log = f"log_format up '$status $upstream_addr'; access_log {self.folder}/access.log up;"
        (self.folder / "nginx.conf").write_text(
            f"daemon off; pid {self.folder}/pid; error_log stderr; events {{}}\n"
            f"http {{ {log} {places}\n{text.replace(one, ' '.join(servers))}\n}}",
            encoding="utf-8",
        )


def nginx_program() -> str:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    return program


def test_a_swap_and_a_rolling_restart_behind_nginx_lose_nothing(tmp_path):
    nginx_program()
    one, two = (stand_in_bundle(tmp_path / name, seed=seed) for name, seed in (("one", 0), ("two", 1)))
    seals = [Bundle.read(path).seal for path in (one, two)]
    links, ports = [tmp_path / "a", tmp_path / "b"], [free_port(), free_port()]
    for link in links:
        link_to(link, one)
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(serving(tmp_path / f"server{place}", link, port=port, watch_s=0.2))
            for place, (link, port) in enumerate(zip(links, ports, strict=True))
        ]
        proxy = stack.enter_context(Proxy(tmp_path / "nginx", [server.url for server in servers]))
        until(lambda: _ready(proxy.url), 60)
        with Crowd(proxy, keep_alive=False) as crowd:
            until(lambda: crowd.models[seals[0]] > LEAST, 60)
            for link in links:  # one replica after the other takes the new bundle; for a while both answer
                link_to(link, two)
            until(lambda: all(_seal(server.url) == seals[1] for server in servers), 60)
            old, new = crowd.models[seals[0]], crowd.models[seals[1]]
            for place, server in enumerate(servers):
                proxy.leave_out(server.url)
                server.terminate()
                assert server.process.wait(60) == 0, server.log[-3000:]
                stack.enter_context(serving(tmp_path / f"again{place}", links[place], port=ports[place], watch_s=0.2))
                proxy.leave_out(None)
            until(lambda: crowd.models[seals[1]] > new + LEAST, 60)
        assert set(crowd.statuses) == {"200"}, crowd.statuses
        assert set(crowd.models) == set(seals)  # every answer names the one bundle that gave it
        assert crowd.models[seals[0]] <= old + CLIENTS  # after the swap at most what was on its way
        assert len([address for address, count in proxy.reached().items() if count > LEAST // 2]) == 2


def _ready(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/readyz", timeout=5, verify=NO_CERTIFICATES).status_code == 200
    return False


def _seal(url: str) -> str:
    return str(httpx.get(f"{url}/model", timeout=5, verify=NO_CERTIFICATES).json()["seal"])
