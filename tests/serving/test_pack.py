from __future__ import annotations

import os
import subprocess
import sys

import httpx
import pytest

from serving.pack import pack
from shared.errors import VerificationError
from tests.serving import servers
from tests.serving.bundles import stand_in_bundle

pytestmark = pytest.mark.slow


def test_an_unverified_bundle_is_not_packed(tmp_path):
    bundle = stand_in_bundle(tmp_path / "bundle")
    (bundle / "onnx" / "verification.json").unlink()
    with pytest.raises(VerificationError, match="is unverified"):
        pack(bundle)


def test_a_packed_bundle_is_served_from_another_folder(tmp_path, monkeypatch):
    bundle = stand_in_bundle(tmp_path / "bundle")
    environment = servers.environment(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "serving.pack", str(bundle)], cwd=servers.ROOT, env=environment, timeout=120,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    tag = ended.stdout.strip()
    assert tag.startswith("emotion:")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
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
