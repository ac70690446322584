"""The examples and the documents, run and compared with the code."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import util

import pytest

from serving.settings import Settings
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import ROOT, serving

TEXTS = ["i am happy", "", "the dog won !"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    with serving(folder, stand_in_bundle(folder / "bundle"), api_keys="") as running:
        yield running


@pytest.fixture(scope="module")
def client_module():
    spec = util.spec_from_file_location("example_client", ROOT / "examples" / "client.py")
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.slow
def test_the_typed_client_reads_texts(server, client_module):
    with client_module.EmotionClient(server.url) as client:
        happy, empty, dog = client.read(TEXTS, top_k=2, policy="half")
        assert [emotion.label for emotion in happy.emotions] == ["amusement", "love"]
        assert happy.emotions[0].threshold == 0.5
        assert empty.error == "the text is empty: it holds no visible character."
        assert (len(dog.emotions), dog.truncated, dog.num_tokens) == (2, False, 6)
        with pytest.raises(client_module.EmotionServiceError, match="422 invalid_input: policy: unknown"):
            client.read(TEXTS, policy="none")


@pytest.mark.slow
def test_the_client_runs_as_a_command(server):
    command = [sys.executable, "examples/client.py", *TEXTS, "--url", server.url]
    ended = subprocess.run(command, cwd=ROOT, timeout=60, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("i am happy\n  amusement 75%, love 75%")


@pytest.mark.slow
def test_the_curl_calls_all_succeed(server):
    ended = subprocess.run(
        ["sh", "examples/curl.sh", server.url], cwd=ROOT, timeout=60, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count('"results"') == 4


def test_every_setting_is_documented_with_its_default():
    text = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `EMOTION_(\w+)` \|\s*`?([^|`]*?)`?\s*\| (.*) \|$", text, re.MULTILINE)
    documented = {name.lower(): (default, meaning) for name, default, meaning in rows}
    for name, field in Settings.model_fields.items():
        default, meaning = documented[name]
        assert meaning == field.description
        if isinstance(field.default, bool | int | float):
            assert default == str(field.default).lower()
