"""Every example of the page about tables is read as the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from serving.predict import _parse, _table_options
from shared.errors import EmotionError
from shared.tables import FORMATS, find_splits, open_table
from shared.tables.writing import WRITTEN
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


def rows_under(header: str) -> list[list[str]]:
    """Cells of all tables of the page with this header."""
    tables = re.findall(rf"^{re.escape(header)}\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [
        [cell.strip() for cell in re.split(r" \|(?= )", line.strip("|"))]
        for table in tables
        for line in table.splitlines()
    ]


EXAMPLES = rows_under("| file | content | options | read as |")
FOLDERS = rows_under("| folder | read as |")


def plain(cell: str) -> str:
    return cell.removeprefix("`").removesuffix("`").replace("⏎", "\n").replace("⇥", "\t")


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: " ".join(row[:3]))
def test_example_is_read_as_the_page_says(tmp_path, row):
    file, content, options, expected = row
    name, encoding = re.fullmatch(r"(\S+)(?: \((.*)\))?", file).groups()
    (tmp_path / name).write_bytes(plain(content).encode(encoding or "utf-8"))
    arguments = ["bundle", "--input", name, "--output", "o.csv", *plain(options).split()]
    said = _table_options(_parse(arguments))
    if plain(expected).startswith("refused: "):
        with pytest.raises(EmotionError, match=re.escape(plain(expected).removeprefix("refused: "))):
            open_table(tmp_path / name, said).read_all()
    else:
        assert dict(open_table(tmp_path / name, said).read_all().columns) == json.loads(
            plain(expected).replace("\n", "⏎")
        )


@pytest.mark.parametrize("row", FOLDERS, ids=lambda row: row[0])
def test_folder_is_read_as_the_page_says(tmp_path, row):
    for name in re.findall(r"`([^`]+)`", row[0]):
        path: Path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\na\n")
    expected = plain(row[1])
    if expected.startswith("refused: "):
        with pytest.raises(EmotionError, match=re.escape(expected.removeprefix("refused: "))):
            find_splits(tmp_path)
    else:
        assert list(find_splits(tmp_path).files) == expected.split(", ")


def test_page_has_its_examples_and_names_every_suffix_and_option():
    assert len(EXAMPLES) >= 28
    assert len(FOLDERS) >= 7
    assert all(f"`{suffix}`" in PAGE for suffix in [*FORMATS, *(f".{form}" for form in WRITTEN)])
    for option in ("encoding", "separator", "header", "columns", "quoting", "sheet", "format", "overwrite_columns"):
        assert f"--{option}" in PAGE
