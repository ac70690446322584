"""Bundles to the hub and back, on a local stand-in of its HTTP API, which a process learns of when it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest

from emotion_classifiers.adapting.levels import default_target
from emotion_classifiers.hub import download, push_to_hub
from shared.errors import ConfigError, ModelNotFoundError
from tests.emotion_classifiers.hub import COMMIT, hub
from tests.serving.bundles import stand_in_bundle


def python(script, server, folder, *arguments, token="t"):
    """A script in a process that knows the stand-in as the hub."""
    environment = {
        **os.environ, "HF_ENDPOINT": server.url, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    environment.pop("HF_TOKEN", None)
    if token:
        environment["HF_TOKEN"] = token
    script = f"import sys\nimport emotion_classifiers as ec\n{script}"
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], env=environment, capture_output=True, text=True,
        check=False, timeout=400,
    )  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("hub") / "bundle")


@pytest.fixture(scope="module")
def server(bundle, tmp_path_factory):
    """A hub that has the bundle as me/journal, sent through the front door, and a table of texts."""
    with hub(token="t") as running:
        sent = python("print(ec.push_to_hub(sys.argv[1], 'me/journal'))", running, bundle.parent, bundle)
        assert (sent.stdout, sent.returncode) == (f"{running.url}/me/journal/commit/{COMMIT}\n", 0), sent.stderr
        table = "text,label\ni am happy,joy\nthey felt angry,anger\n"
        running.repositories["me/texts"] = {"all.csv": table.encode(), "README.md": b"a card"}
        yield running


def test_every_file_arrives_as_it_was(server, bundle):
    files = {path.relative_to(bundle).as_posix(): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    assert server.repositories["me/journal"] == files


def test_a_bundle_takes_the_place_of_the_one_before_and_leaves_what_was_never_of_one(server, bundle, tmp_path):
    before = (
        "model-00001-of-00002.safetensors", "model.safetensors.index.json", "intensity.json",
        "onnx/model.onnx.layer.npz", "onnx/signature.json", "profiles/tweets/about.json",
    )  # fmt: skip
    own = {"notes.md": b"mine", ".gitattributes": b"*.onnx filter=lfs"}
    server.repositories["me/again"] = {**own, **dict.fromkeys(before, b"of the one before")}
    done = python("ec.push_to_hub(sys.argv[1], 'me/again')", server, tmp_path, bundle)
    assert (done.returncode, done.stderr) == (0, "")
    assert server.repositories["me/again"] == {**own, **server.repositories["me/journal"]}


def test_a_bundle_from_the_hub_predicts_as_the_one_sent(server, bundle, tmp_path):
    script = (
        "texts = ['i am happy', 'they felt angry']\n"
        "there, here = ec.load('hf://me/journal'), ec.load(sys.argv[1])\n"
        "assert 'torch' not in sys.modules\n"
        "assert there.predict(texts) == here.predict(texts)\n"
        "print(there.path.name, ec.load('hf://me/journal@main').labels == here.labels)"
    )
    done = python(script, server, tmp_path, bundle)
    assert (done.stdout, done.stderr) == (f"{COMMIT} True\n", "")


def test_a_bundle_that_the_hub_changed_is_refused(server, tmp_path):
    files = server.repositories["me/journal"]
    server.repositories["me/touched"] = {**files, "thresholds.json": files["thresholds.json"].replace(b"0.5", b"0.1")}
    done = python("ec.load('hf://me/touched')", server, tmp_path)
    assert "BundleTamperedError: thresholds.json in " in done.stderr


def test_data_on_the_hub_is_evaluated(server, tmp_path):
    done = python("print(ec.load('hf://me/journal').evaluate('me/texts').num_examples)", server, tmp_path)
    assert done.stdout == "2\n", done.stderr


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("ec.load('hf://me/nothing')", "ModelNotFoundError: hf://me/nothing cannot be loaded: 404 Client Error"),
        ("ec.load('hf://me/journal@v9')", "ModelNotFoundError: hf://me/journal@v9 cannot be loaded: 404 Client Error"),
        ("ec.load('hf://journal/of/me')", "ModelNotFoundError: hf://journal/of/me cannot be loaded: Repo id must be"),
    ],
)
def test_what_the_hub_does_not_have_is_said(server, tmp_path, script, message):
    assert message in python(script, server, tmp_path).stderr


def test_a_refused_upload_says_what_it_needs(server, bundle, tmp_path):
    done = python("ec.push_to_hub(sys.argv[1], 'me/other')", server, tmp_path, bundle, token="wrong")
    assert "ConfigError: the bundle could not be sent to me/other: " in done.stderr
    assert done.stderr.rstrip().endswith("Check the name, the network and $HF_TOKEN (it needs the right to write).")


class UnreachedError(Exception):
    """As those of httpx, by which newer versions of the package send: of no kind that Python knows."""


def test_a_hub_that_cannot_be_reached_is_an_error_of_one_line(bundle, monkeypatch):
    def fail(*_, **__):
        raise UnreachedError("[Errno 111] Connection refused")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", fail)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ConfigError, match=r"could not be sent to me/other: \[Errno 111\] Connection refused\. Check"):
        push_to_hub(bundle, "me/other")
    with pytest.raises(ModelNotFoundError, match=r"hf://me/other cannot be loaded: \[Errno 111\] Connection refused\."):
        download("me/other")


def test_a_child_of_a_bundle_from_the_hub_is_not_put_into_its_cache(tmp_path):
    of_hub = tmp_path / "hub" / "models--me--journal" / "snapshots" / COMMIT
    assert default_target(of_hub) == Path("journal-adapted")
    assert default_target(tmp_path / "runs" / "bundle") == tmp_path / "runs" / "bundle-adapted"


def test_a_changed_bundle_is_not_sent(server, tmp_path):
    bundle = stand_in_bundle(tmp_path / "bundle")
    (bundle / "metrics.json").write_text("{}")
    done = python("ec.push_to_hub(sys.argv[1], 'me/other')", server, tmp_path, bundle)
    assert "BundleTamperedError: metrics.json in " in done.stderr
    assert "me/other" not in server.repositories


def test_without_the_package_the_hub_says_what_to_install(server, tmp_path):
    done = python("sys.modules['huggingface_hub'] = None; ec.load('hf://me/journal')", server, tmp_path)
    assert "ConfigError: the hub needs the package huggingface_hub. Run: pip install huggingface_hub" in done.stderr
