"""Every snippet of the README is run, or made sure to name what exists."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys

import httpx
import pytest

from emotion_classifiers.cli import VERBS
from serving.http.response_schemas import TextResult
from tests.docs.pages import ROOT, blocks, commands
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import serving
from tests.test_wheel import COMMANDS as TESTED_WITH_THE_WHEEL

README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = [command for block in blocks("README.md", "sh") for command in commands(block)]


def test_every_command_is_one_that_is_tested():
    """`emotion` commands run in the test of the wheel, curl below; of `make` the targets are looked up."""
    for command in SHELL:
        words = shlex.split(command)
        if words[0] == "emotion":
            assert words[1] in VERBS
            assert command in TESTED_WITH_THE_WHEEL
        elif words[0] == "make":
            subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, check=True)
        else:
            assert words[0] == "curl"


@pytest.mark.parametrize("number", range(len(blocks("README.md", "python"))))
def test_python_snippets_run(number, tmp_path):
    stand_in_bundle(tmp_path / "runs" / "latest" / "bundle")
    done = subprocess.run(
        [sys.executable, "-c", blocks("README.md", "python")[number]], cwd=tmp_path, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\(('\w+',? ?)*\)\n", done.stdout)


@pytest.mark.slow
def test_the_call_by_curl_has_an_answer_of_the_form_that_is_shown(tmp_path):
    """The numbers are those of the demo's bundle on the day they were written; the form is compared."""
    (command,) = [command for command in SHELL if command.startswith("curl")]
    (shown,) = (json.loads(block) for block in blocks("README.md", "json"))
    with serving(tmp_path / "server", stand_in_bundle(tmp_path / "bundle")) as server:
        done = subprocess.run(
            shlex.split(command.replace("localhost:3000", server.url)), capture_output=True, text=True, check=True
        )
        answer = json.loads(done.stdout)
        model = httpx.get(f"{server.url}/model", timeout=10).json()
    assert shown.keys() == answer.keys()
    assert {key for result in shown["results"] for key in result} <= TextResult.model_fields.keys()
    assert {score["label"] for result in shown["results"] for score in result["labels"]} <= set(model["labels"])
    assert re.fullmatch("[0-9a-f]{64}", shown["model"])


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([\w./-]+)\)", README))))
def test_every_link_leads_somewhere(target):
    assert (ROOT / target).exists()


def test_every_recipe_is_named():
    assert set(re.findall(r"^\| `(\w+)` \|", README.partition("recipe in")[2], re.MULTILINE)) >= {
        path.stem for path in (ROOT / "configs").glob("*.yaml")
    }


@pytest.mark.parametrize(
    "room", ["emotion_classifiers", "shared", "training", "serving", "benchmarks", "configs", "tests"]
)
def test_the_layout_names_every_room(room):
    assert re.search(rf"^{room}/ ", README, re.MULTILINE)
    assert (ROOT / room).is_dir()


def test_the_index_lists_every_page():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == pages
