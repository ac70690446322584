from __future__ import annotations

import json
import os
import subprocess
import sys

import httpx
import pytest

from serving.pack import build_options, pack
from shared.bundle import Bundle
from shared.errors import BundleFormatError, VerificationError
from shared.files import read_json, write_json
from tests.serving import servers
from tests.serving.bundles import stand_in_bundle


def test_an_unverified_bundle_is_not_packed(tmp_path):
    bundle = stand_in_bundle(tmp_path / "bundle")
    (bundle / "onnx" / "verification.json").unlink()
    with pytest.raises(VerificationError, match="is unverified"):
        pack(bundle)


@pytest.mark.parametrize(("gpu", "runtime"), [(False, "onnxruntime"), (True, "onnxruntime-gpu")])
def test_packages_that_answers_depend_on_are_those_of_the_verification(tmp_path, gpu, runtime):
    bundle = stand_in_bundle(tmp_path / "bundle")
    path = bundle / "onnx" / "verification.json"
    versions = {"python": "3.11.9", "numpy": "2.1.0", "onnxruntime-gpu": "1.20.1", "torch": "2.6.0"}
    write_json(path, {**read_json(path), "versions": versions})
    packages = build_options(Bundle.read(bundle), gpu=gpu)["python"]["packages"]
    assert packages[:4] == ["numpy==2.1.0", "tokenizers", "emoji", f"{runtime}==1.20.1"]
    assert not any(name.startswith("torch") for name in packages)


@pytest.mark.slow
def test_a_packed_bundle_is_served_from_another_folder(tmp_path, monkeypatch):
    bundle = stand_in_bundle(tmp_path / "bundle")
    environment = servers.environment(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ended = subprocess.run(
        [sys.executable, "-m", "serving.pack", str(bundle)], cwd=elsewhere, timeout=120, capture_output=True, text=True,
        env={**environment, "PYTHONPATH": str(servers.ROOT)}, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    tag = ended.stdout.strip()
    assert tag.startswith("emotion:")
    packed = tmp_path / "bentoml" / "bentos" / tag.replace(":", os.sep) / "src"
    assert not (packed / "bundle" / "model.safetensors").exists()
    with pytest.raises(BundleFormatError, match=r"lacks model\.safetensors"):
        Bundle.read(packed / "bundle")
    assert {path.name for path in (packed / "bundle" / "onnx").iterdir()} == {"model.onnx", "verification.json"}
    assert not (packed / "shared" / "modeling").exists()
    monkeypatch.setattr(servers, "command", lambda port: [*_serve(tag), "--host", "127.0.0.1", "--port", str(port)])
    monkeypatch.setattr(servers, "environment", lambda folder, **_: environment)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with servers.serving(tmp_path, bundle, cwd=elsewhere) as server:
        answer = httpx.post(f"{server.url}/predict", json={"text": "i am happy"}, timeout=10)
        assert answer.status_code == 200
        assert str(bundle) not in server.log
        assert os.sep + tag.replace(":", os.sep) in server.log  # the bundle inside the Bento


def _serve(tag: str) -> list[str]:
    return [sys.executable, "-m", "bentoml", "serve", tag]


@pytest.mark.slow
def test_the_launcher_serves_a_bundle_from_any_folder(tmp_path, monkeypatch):
    bundle = stand_in_bundle(tmp_path / "bundle")
    monkeypatch.setattr(
        servers, "command", lambda port: [sys.executable, "-m", "serving.server.launch", "bundle", "--port", str(port)]
    )
    environment = {**servers.environment(tmp_path), "PYTHONPATH": str(servers.ROOT)}
    monkeypatch.setattr(servers, "environment", lambda folder, **_: environment)
    with servers.serving(tmp_path / "log", bundle, cwd=tmp_path) as server:
        assert httpx.post(f"{server.url}/predict", json={"text": "i am happy"}, timeout=10).status_code == 200
        listening = [json.loads(line) for line in server.log.splitlines() if '"listening on' in line]
        assert [line["message"] for line in listening] == [f"listening on {server.url}"]
