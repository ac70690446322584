"""Start servers for a comparison and end them for certain: each is a process group of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import PREDICT, Form, wait_until_ready
from shared.errors import NotReadyError
from shared.files import read_json, write_json

ROOT = Path(__file__).parents[2]
START_S = 120.0
STOP_S = 15.0


@dataclass(frozen=True)
class Peer:
    """A server to compare; the bundle is in EMOTION_BUNDLE, and `--port PORT` follows the arguments."""

    name: str  # in tables
    arguments: Sequence[str]  # after `python -m`
    form: Form = PREDICT  # how it is asked
    root: Path = ROOT  # the checkout it is of
    python: str = sys.executable


@dataclass(frozen=True)
class Running:
    """A server that answers; `pid` is that of its process group."""

    name: str
    url: str
    pid: int
    form: Form = PREDICT


_BENTO = ("bentoml", "serve", "--host", "127.0.0.1")
OURS = Peer("ours", _BENTO)
BARE = Peer("bare int8 server", ("benchmarks.peers.servers", "bare"))
ADAPTIVE = Peer("BentoML adaptive batching", (*_BENTO, "benchmarks.peers.adaptive:AdaptiveEmotion"))
PIPELINE = Peer("FastAPI + pipeline", ("benchmarks.peers.servers", "pipeline"))
PEERS = (OURS, BARE, ADAPTIVE, PIPELINE)


INFINITY = Form("/classify", "input", "data", "/health")
"""How infinity is asked."""


def earlier(checkout: Path) -> Peer:
    """The service of another checkout of this project, to compare before and after in one run."""
    return Peer(f"ours in {checkout.name}", _BENTO, root=checkout.resolve())


def infinity(python: str, bundle: Path, folder: Path) -> Peer:
    """The server infinity with its torch engine on the bundle's weights, asked at its own `/classify`.

    It takes them for transformers' own classifier: with our pooling it does the same work for other answers.

    Args:
        python: interpreter of the environment where it is installed.
        bundle: whose weights it serves.
        folder: an empty one, for its checkpoint.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

    config = read_json(bundle / "config.json")
    kind = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES[config["model_type"]]
    write_json(folder / "config.json", {**config, "architectures": [kind]})
    for file in (*bundle.glob("model*.safetensors*"), *bundle.glob("tokenizer*.json")):  # weights in shards too
        (folder / file.name).symlink_to(file.resolve())
    arguments = ("infinity_emb.cli", "v2", "--model-id", str(folder), "--engine", "torch", "--device", "cpu",
                 "--no-bettertransformer", "--url-prefix", "", "--host", "127.0.0.1")  # fmt: skip
    return Peer("infinity, torch engine", arguments, INFINITY, python=python)


@contextlib.contextmanager
def running(peer: Peer, bundle: Path) -> Iterator[Running]:
    """The server on a free port, ready; ended with its whole process group when the block ends.

    Raises:
        NotReadyError: when it ends or is not ready in time, with the end of its log.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="benchmark-peer-") as folder:
        log = Path(folder) / "log"
        environment = {
            **os.environ,
            "EMOTION_BUNDLE": str(bundle.absolute()),
            "EMOTION_ACCESS_LOG": "false",
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": folder,
            "PYTHONPATH": str(peer.root),
        }
        environment.pop("OMP_NUM_THREADS", None)  # each server decides on its threads itself
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [peer.python, "-m", *peer.arguments, "--port", str(port)],
                cwd=peer.root, env=environment, stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip
        try:
            _wait(peer, process, url, log)
            yield Running(peer.name, url, process.pid, peer.form)
        finally:
            _stop(process)


def _wait(peer: Peer, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    try:
        wait_until_ready(url, START_S, is_alive=lambda: process.poll() is None, path=peer.form.ready)
    except NotReadyError:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        code = process.poll()
        why = f"is not ready after {START_S:g} s" if code is None else f"ended with code {code}"
        raise NotReadyError(f"the server '{peer.name}' {why}: {' | '.join(lines[-5:])[-800:]}") from None


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
