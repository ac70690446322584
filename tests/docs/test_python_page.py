"""The page about Python names only what the package has."""

from __future__ import annotations

import inspect
import re

import pytest

import emotion_classifiers as ec
from tests.docs.pages import ROOT, blocks

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bec\.(\w+)", PAGE))))
def test_every_name_is_public(name):
    assert name in ec.__all__


@pytest.mark.parametrize("block", blocks("docs/python.md", "python"))
def test_every_snippet_is_python(block):
    compile(block, "docs/python.md", "exec")


@pytest.mark.parametrize(
    ("function", "call"), [(ec.Model.predict, "predict"), (ec.Model.evaluate, "evaluate"), (ec.train, "train")]
)
def test_options_in_the_snippets_are_parameters(function, call):
    found = re.findall(rf"\.{call}\((?:[\w.]+)?(.*?)\)(?:$|  |\[)", "\n".join(blocks("docs/python.md", "python")), re.M)
    named = {name for arguments in found for name in re.findall(r"\b(\w+)=", arguments)}
    assert named
    assert named <= set(inspect.signature(function).parameters)
