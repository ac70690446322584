"""Start servers for a comparison and end them for certain: each is a process group of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shared.errors import NotReadyError

ROOT = Path(__file__).parents[2]
START_S = 120.0
STOP_S = 15.0


@dataclass(frozen=True)
class Peer:
    """A server to compare: its name in tables, and its command for a bundle and a port."""

    name: str
    command: Callable[[Path, int], Sequence[str]]


@dataclass(frozen=True)
class Running:
    """A server that answers; a process group of its own, whose leader is `process`."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def pid(self) -> int:
        """Of the process group."""
        return self.process.pid

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def terminate(self) -> None:
        """Send SIGTERM to the leader, as an operator does."""
        self.process.send_signal(signal.SIGTERM)


def _ours(bundle: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "bentoml", "serve", "--host", "127.0.0.1", "--port", str(port)]


def _adaptive(bundle: Path, port: int) -> list[str]:
    service = "benchmarks.peers.adaptive:AdaptiveEmotion"
    return [sys.executable, "-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(port)]


def _module(name: str) -> Callable[[Path, int], list[str]]:
    return lambda bundle, port: [sys.executable, "-m", f"benchmarks.peers.{name}", str(bundle), "--port", str(port)]


OURS = Peer("ours", _ours)
BARE = Peer("bare int8 server", _module("bare"))
ADAPTIVE = Peer("BentoML adaptive batching", _adaptive)
PIPELINE = Peer("FastAPI + pipeline", _module("pipeline"))
PEERS = (OURS, BARE, ADAPTIVE, PIPELINE)


@contextlib.contextmanager
def running(peer: Peer, bundle: Path, port: int | None = None, **settings: str) -> Iterator[Running]:
    """The server, ready; ended with its whole process group when the block ends.

    Args:
        peer: which one.
        bundle: what it serves; a link is left one, so that it can be moved meanwhile.
        port: a free one if unset.
        settings: environment variables of its own.

    Raises:
        NotReadyError: when it ends or is not ready in time, with the end of its log.
    """
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="benchmark-peer-") as folder:
        log = Path(folder) / "log"
        environment = {
            **os.environ,
            "EMOTION_BUNDLE": str(bundle.absolute()),
            "EMOTION_ACCESS_LOG": "false",
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": folder,
            **settings,
        }
        environment.pop("OMP_NUM_THREADS", None)  # each server decides on its threads itself
        with log.open("wb") as stream:
            process = subprocess.Popen(
                peer.command(bundle, port), cwd=ROOT, env=environment, stdout=stream, stderr=stream,
                start_new_session=True,
            )  # fmt: skip
        try:
            _wait(peer, process, url, log)
            yield Running(peer.name, url, process, log)
        finally:
            _stop(process)


def _wait(peer: Peer, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        if _is_ready(url):
            return
        time.sleep(0.2)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    why = f"ended with code {process.returncode}" if process.poll() is not None else f"is not ready after {START_S:g} s"
    raise NotReadyError(f"the server '{peer.name}' {why}: {' | '.join(lines[-5:])[-800:]}")


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the group, kindly first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    """A port of the loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
