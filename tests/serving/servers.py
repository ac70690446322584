"""Start the real service for a test: `bentoml serve` on a free port, ended by its process group."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from serving.http.response_schemas import PredictResponse

ROOT = Path(__file__).resolve().parents[2]
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For requests by plain HTTP: reading the certificates that they do not need takes 28 ms each time."""
START_S = 120
STOP_S = 20


@dataclass(frozen=True)
class Server:
    """A running service; `log` is what it has written so far."""

    url: str
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path, **settings: object) -> dict[str, str]:
    """The environment of a server whose files stay in `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMOTION_")}
    own = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder / "bentoml"), "EMOTION_DRAIN_S": "0.2"}
    return {**kept, **own, **{f"EMOTION_{name.upper()}": str(value) for name, value in settings.items()}}


def command(port: int) -> list[str]:
    return [sys.executable, "-m", "bentoml", "serve", "--host", "127.0.0.1", "--port", str(port)]


@contextlib.contextmanager
def serving(
    folder: Path, bundle: Path, *, cwd: Path = ROOT, port: int | None = None, **settings: object
) -> Iterator[Server]:
    """A service that is ready, with its settings; whatever happens, it is ended."""
    folder.mkdir(parents=True, exist_ok=True)
    port, log_file = port or free_port(), folder / "server.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command(port), cwd=cwd, env=environment(folder, bundle=bundle, **settings), stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    server = Server(f"http://127.0.0.1:{port}", process, log_file)
    try:
        wait_until_ready(server)
        yield server
    finally:
        stop(process)


def wait_until_ready(server: Server) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert server.process.poll() is None, f"the server ended:\n{server.log}"
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{server.url}/readyz", timeout=2, verify=NO_CERTIFICATES).status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"not ready within {START_S} s:\n{server.log}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the whole group, kindly first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def serve_and_fail(folder: Path, bundle: Path, port: int | None = None, **settings: object) -> tuple[int, str]:
    """Exit code and output of a `bentoml serve` that is expected to refuse."""
    folder.mkdir(parents=True, exist_ok=True)
    log_file = folder / "refused.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command(port or free_port()), cwd=ROOT, env=environment(folder, bundle=bundle, **settings),
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        code = process.wait(START_S)
    finally:
        stop(process)
    return code, log_file.read_text(encoding="utf-8", errors="replace")


def metric(url: str, name: str, labels: Mapping[str, str] | None = None) -> float:
    """Sum of a metric's samples that carry `labels`."""
    total = 0.0
    for line in httpx.get(f"{url}/metrics", timeout=5, verify=NO_CERTIFICATES).text.splitlines():
        found, _, rest = line.partition("{") if "{" in line else (line.split(" ")[0], "", line)
        if found == name and all(f'{key}="{value}"' in rest for key, value in (labels or {}).items()):
            total += float(line.rsplit(" ", 1)[1])
    return total


def ask(server: Server, status: int = 200, **body: object) -> Any:
    """The results of `POST /predict`, which must have the documented shape; the detail of an error that is expected."""
    answer = httpx.post(f"{server.url}/predict", json=body, timeout=20, verify=NO_CERTIFICATES)
    assert answer.status_code == status, answer.text
    if status != 200:
        return answer.json()["detail"]
    PredictResponse.model_validate(answer.json())
    return answer.json()["results"]
