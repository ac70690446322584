"""A Bento in an environment of its own, made from its requirements alone: in `make system`, as it downloads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from serving.export import export_bundle
from shared.bundle import Bundle
from shared.files import read_json
from tests.serving import servers
from tests.serving.exportable import exportable_bundle
from tests.system import bundle_from, only_in_full

pytestmark = [pytest.mark.slow, pytest.mark.system]

MOST_BESIDE_THE_MODEL = 5_000_000
"""Bytes of a Bento that are not its model: code, tokenizer, reference rows."""


@only_in_full("installs packages")
def test_a_bento_installs_what_it_was_verified_with_and_serves_from_an_empty_folder(tmp_path, monkeypatch):
    bundle = bundle_from("SYSTEM_BUNDLE") or exported_bundle(tmp_path / "bundle")
    tag = run(sys.executable, "-m", "serving.pack", bundle, folder=tmp_path, PYTHONPATH=str(servers.ROOT)).strip()
    bento = tmp_path / "bentoml" / "bentos" / tag.replace(":", os.sep)
    size = sum(path.stat().st_size for path in bento.rglob("*"))
    (model,) = (bento / "src" / "bundle" / "onnx").glob("*.onnx")
    print(f"{tag}: {size / 1e6:.1f} MB, of which {model.name} has {model.stat().st_size / 1e6:.1f} MB")
    assert size < model.stat().st_size + MOST_BESIDE_THE_MODEL

    python = tmp_path / "environment" / "bin" / "python"
    run(sys.executable, "-m", "venv", tmp_path / "environment", folder=tmp_path)
    requirements = bento / "env" / "python" / "requirements.txt"
    run(python, "-m", "pip", "install", "--quiet", "--requirement", requirements, folder=tmp_path)
    listed = json.loads(run(python, "-m", "pip", "list", "--format", "json", folder=tmp_path))
    installed = {package["name"].lower(): package["version"] for package in listed}
    verified = read_json(bento / "src" / "bundle" / "onnx" / "verification.json")["versions"]
    runtime = verified.get("onnxruntime") or verified["onnxruntime-gpu"]
    print({name: installed[name] for name in ("numpy", "tokenizers", "onnxruntime")})
    assert (installed["numpy"], installed["tokenizers"]) == (verified["numpy"], verified["tokenizers"])
    assert installed["onnxruntime"] == runtime
    assert not {"torch", "transformers", "onnxruntime-gpu"} & set(installed)

    (tmp_path / "empty").mkdir()
    command = [str(python), "-m", "bentoml", "serve", tag, "--host", "127.0.0.1", "--port"]
    environment = servers.environment(tmp_path)
    environment.pop("PYTHONPATH", None)
    monkeypatch.setattr(servers, "command", lambda port: [*command, str(port)])
    monkeypatch.setattr(servers, "environment", lambda folder, **_: environment)
    with servers.serving(tmp_path, bundle, cwd=tmp_path / "empty") as server:
        body = {"text": "i am happy", "probabilities": True}
        answer = httpx.post(f"{server.url}/predict", json=body, timeout=10)
        assert answer.status_code == 200
        assert answer.json()["model"] == Bundle.read(bundle).seal


def exported_bundle(folder: Path) -> Path:
    bundle = exportable_bundle(folder)
    export_bundle(Bundle.read(bundle), ["fp32"], threads=1)
    return bundle


def run(*command: object, folder: Path, **variables: str) -> str:
    """What a command prints, run where there is nothing."""
    nothing = folder / "nothing"
    nothing.mkdir(exist_ok=True)
    environment = {**servers.environment(folder), **variables}
    ended = subprocess.run(
        [str(part) for part in command], cwd=nothing, env=environment, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
