"""The tables of practices, languages and machines name only keys, commands, files and pages that exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import yaml

from emotion_classifiers.cli import VERBS
from tests.docs.pages import ROOT, blocks
from training.config.experiments import KFoldOptions, PhasesOptions, RangeOptions, SearchOptions, SweepOptions
from training.config.schema import Config

PAGES = ("docs/playbook.md", "docs/languages.md", "docs/cluster.md")
TEXT = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
OPTIONS = [Config(), SweepOptions(), KFoldOptions(), PhasesOptions(), RangeOptions(), SearchOptions()]
KEYS = {name for options in OPTIONS for name in options.flat()} | {"data.sources"}
SECTIONS = {key.partition(".")[0] for key in KEYS}
CODE = sorted({(page, code) for page in PAGES for code in re.findall(r"`([^`\n]+)`", TEXT[page])})


@pytest.mark.parametrize(("page", "code"), CODE)
def test_what_is_named_exists(page, code):
    first = code.split()[0]
    if first == "emotion":
        assert code.split()[1] in VERBS
    elif first.startswith("--") and "." not in first:
        return  # an option of the command beside it
    elif re.fullmatch(r"(?:tests|examples|configs)/[\w/.]+", code):
        assert (ROOT / code).exists()
    elif code.startswith("python -m "):
        importlib.import_module(code.split()[2])
    elif re.fullmatch(r"[a-z]+(?:\.[a-z]\w*)+", first) and first.partition(".")[0] in SECTIONS | {"provenance"}:
        assert first in KEYS or first in ("provenance.data.languages", "model.predict"), first
        values = code.split()[1:]
        if values and not values[0].startswith(("[", "-")) and re.fullmatch(r"[a-z_]+", values[0]):
            section, *names = first.split(".")
            annotation = Config.__dataclass_fields__[section].default_factory.__annotations__.get(names[-1], "")
            assert values[0] in annotation or values[0] in ("true", "all", "eng", "plain"), (code, annotation)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", TEXT[page]):
        assert (Path(ROOT / page).parent / target).exists(), target


def test_every_practice_has_a_key_a_command_or_a_word_for_it():
    table = TEXT["docs/playbook.md"].partition("\n|---")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[1:] if "|" in line]
    practices = [row for row in rows if not row[0].startswith("**")]
    assert len(practices) > 55
    assert all(len(row) == 3 and (re.search("`", row[1]) or row[1].startswith("always")) for row in practices)


def test_the_keys_of_a_run_are_nearly_all_in_the_table():
    named = {code.split()[0] for page, code in CODE if page == "docs/playbook.md"}
    for section in ("tuning", "optim", "calibration", "distill"):
        keys = {key for key in Config().flat() if key.startswith(f"{section}.")}
        assert len(keys & named) >= len(keys) / 2, (section, sorted(keys - named))


def test_the_job_is_one_that_kubernetes_would_read():
    (text,) = blocks("docs/cluster.md", "yaml")
    service, job = yaml.safe_load_all(text)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert service["metadata"]["name"] == job["spec"]["template"]["spec"]["subdomain"] == "train"
    assert job["spec"]["completionMode"] == "Indexed"
    keys = [word[2:].partition("=")[0] for word in container["command"] if re.match(r"--\w+\.", word)]
    assert keys
    assert set(keys) <= KEYS
