"""CONTRIBUTING.md names files that are there, with the words that one greps for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BEHAVIOURS = re.findall(r"^\| (.+) \| `(.+)` \| `(.+)` \|$", PAGE.partition("## Twelve behaviours")[2], re.MULTILINE)


def test_there_are_twelve():
    assert len(BEHAVIOURS) == 12


@pytest.mark.parametrize(("behaviour", "word", "file"), BEHAVIOURS)
def test_a_behaviour_is_where_the_table_says(behaviour, word, file):
    assert word in (ROOT / file).read_text(encoding="utf-8"), behaviour


PATHS = set(re.findall(r"`([\w./-]+/[\w.-]*)`", PAGE)) - {"static_content/"}  # which is BentoML's


@pytest.mark.parametrize("path", sorted(PATHS))
def test_every_path_is_there(path):
    rooms = ("", "serving/server", "shared/fast_deberta")
    assert any((ROOT / room / path).exists() for room in rooms)
