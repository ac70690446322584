"""The examples and the documents, run and compared with the code."""

from __future__ import annotations

import re
import subprocess

import pytest

from serving.settings import Settings
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import ROOT, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    with serving(folder, stand_in_bundle(folder / "bundle"), api_keys="") as running:
        yield running


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
