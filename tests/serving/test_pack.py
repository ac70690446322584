from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest
import yaml

from serving.pack import REQUIREMENTS, build_options, pack, requirements, write_served
from shared.bundle import Bundle
from shared.errors import BundleFormatError, ConfigError, VerificationError
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
    packages = requirements(Bundle.read(bundle), gpu=gpu)
    assert packages[:4] == ["numpy==2.1.0", "tokenizers", "emoji", f"{runtime}==1.20.1"]
    assert not any(name.startswith("torch") for name in packages)


def test_a_bento_installs_what_the_extra_serve_does_for_the_service():
    extra = tomllib.loads((servers.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {line.partition(";")[0] for line in extra["optional-dependencies"]["serve"]}
    elsewhere = ("bentoml", "onnxruntime", "click", "httpx", "pyarrow")  # by BentoML, by `RUNTIMES`, offline
    assert {line for line in wanted if not line.startswith(elsewhere)} - set(REQUIREMENTS) == set()


def test_a_folder_that_exists_is_not_written_into(tmp_path):
    bundle, taken = stand_in_bundle(tmp_path / "bundle"), tmp_path / "taken"
    taken.mkdir()
    with pytest.raises(ConfigError, match=r"taken exists\. Remove it, or name another folder"):
        write_served(bundle, taken)


def test_the_bentofile_of_the_repository_builds_what_pack_does():
    own, packed = yaml.safe_load((servers.ROOT / "bentofile.yaml").read_text(encoding="utf-8")), build_options("0" * 64)
    assert {name: own[name] for name in ("service", "description", "python", "envs")} == {
        name: packed[name] for name in ("service", "description", "python", "envs")
    }


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> tuple[str, Path]:
    """Tag and store of a packed bundle."""
    folder = tmp_path_factory.mktemp("pack")
    bundle = stand_in_bundle(folder / "bundle")
    (folder / "empty").mkdir()
    ended = run("serving.pack", str(bundle), cwd=folder / "empty", store=folder)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip(), folder


def run(module: str, *arguments: str, cwd: Path, store: Path) -> subprocess.CompletedProcess[str]:
    environment = {**servers.environment(store), "PYTHONPATH": str(servers.ROOT)}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=cwd, timeout=120, capture_output=True, text=True, env=environment, check=False)


def folder_of(packed: tuple[str, Path]) -> Path:
    tag, store = packed
    return store / "bentoml" / "bentos" / tag.replace(":", os.sep)


@pytest.mark.slow
def test_a_bento_holds_what_is_served_and_no_more(packed):
    bento = folder_of(packed)
    assert packed[0].startswith("emotion:")
    source = bento / "src"
    assert not (source / "bundle" / "model.safetensors").exists()
    with pytest.raises(BundleFormatError, match=r"lacks model\.safetensors"):
        Bundle.read(source / "bundle")
    assert {path.name for path in (source / "bundle" / "onnx").iterdir()} == {"model.onnx", "verification.json"}
    assert not (source / "shared" / "modeling").exists()
    beside = [path for path in bento.rglob("*") if path.is_file() and source / "bundle" not in path.parents]
    assert sum(path.stat().st_size for path in beside) < 1_000_000
    dockerfile = (bento / "env" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert "ENV EMOTION_HOST=$EMOTION_HOST" in dockerfile
    assert not re.search("build-essential|gcc|apt-get", dockerfile)
    assert "onnxruntime\n" in (bento / "env" / "python" / "requirements.txt").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_packed_bundle_is_served_from_an_empty_folder(packed, tmp_path, monkeypatch):
    tag, store = packed
    command = [sys.executable, "-m", "bentoml", "serve", tag, "--host", "127.0.0.1", "--port"]
    monkeypatch.setattr(servers, "command", lambda port: [*command, str(port)])
    environment = servers.environment(store)
    monkeypatch.setattr(servers, "environment", lambda folder, **_: environment)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with servers.serving(tmp_path, store, cwd=store / "empty") as server:
        answer = httpx.post(f"{server.url}/predict", json={"text": "i am happy"}, timeout=10)
        assert answer.status_code == 200
        assert f"{folder_of(packed)}" in server.log  # the bundle inside the Bento
        assert f"serving {store / 'bundle'}" not in server.log


@pytest.mark.slow
def test_a_plain_build_without_a_bundle_ends_in_one_line_and_with_one_carries_what_is_served(tmp_path):
    checkout = tmp_path / "checkout"
    for name in ("serving", "shared"):
        shutil.copytree(servers.ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(servers.ROOT / "bentofile.yaml", checkout)
    ended = run("bentoml", "build", cwd=checkout, store=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr == (
        f"error: there is nothing to serve in {checkout / 'bundle'}. "
        "Write it with: python -m serving.pack BUNDLE --into bundle\n"
    )
    bundle = stand_in_bundle(tmp_path / "bundle")
    into = run("serving.pack", str(bundle), "--into", "bundle", cwd=checkout, store=tmp_path)
    assert (into.returncode, into.stdout) == (0, "bundle\n"), into.stderr
    assert run("bentoml", "build", cwd=checkout, store=tmp_path).returncode == 0
    (source,) = (tmp_path / "bentoml" / "bentos" / "emotion").glob("*/src")
    assert {path.name for path in source.iterdir()} == {"bentofile.yaml", "bundle", "serving", "shared"}
    assert not (source / "bundle" / "model.safetensors").exists()
    assert not (source / "serving" / "exporting").exists()


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
