"""Workbooks: the sheet, its header, and values with their types."""

import datetime
import io
import json

import pytest

from shared.errors import ConfigError, DataFormatError, EmptyDataError
from shared.tables import TableOptions, open_table
from shared.tables.writing import open_writer

openpyxl = pytest.importorskip("openpyxl")


def workbook(path, **sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


ROWS = [["text", "n", "at"], ["a", 5, datetime.datetime(2024, 2, 29, 12)], [None, None, None], ["b", 1e-12, None]]


def test_values_keep_their_types_and_blank_rows_are_left_out(tmp_path):
    found = open_table(workbook(tmp_path / "a.xlsx", rows=ROWS)).read_all()
    assert found.columns == {"text": ["a", "b"], "n": [5, 1e-12], "at": [datetime.datetime(2024, 2, 29, 12), None]}
    assert [found.where(0), found.where(1)] == [f"{tmp_path}/a.xlsx, row 2", f"{tmp_path}/a.xlsx, row 4"]


def test_values_are_written_as_they_are(tmp_path):
    table = open_table(workbook(tmp_path / "a.xlsx", rows=ROWS))
    stream = io.BytesIO()
    writer = open_writer(stream, "jsonl", table, ["p"])
    for chunk in table.chunks():
        writer.write(chunk, {"p": [0.5] * len(chunk)})
    writer.close()
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"text": "a", "n": 5, "at": "2024-02-29 12:00:00", "p": 0.5}, {"text": "b", "n": 1e-12, "at": None, "p": 0.5},
    ]  # fmt: skip


def test_sheet_is_named_where_there_are_several(tmp_path):
    path = workbook(tmp_path / "a.xlsx", first=[["text"], ["a"]], second=[["text"], ["b"]])
    for sheet, text in (("second", "b"), ("2", "b"), ("1", "a")):
        assert open_table(path, TableOptions(sheet=sheet)).read_all().columns == {"text": [text]}
    with pytest.raises(DataFormatError, match=r"has several sheets: first, second\. Name one with data.sheet"):
        open_table(path)
    with pytest.raises(DataFormatError, match=r"has no sheet 'third': first, second"):
        open_table(path, TableOptions(sheet="third"))


def test_sheet_without_header(tmp_path):
    path = workbook(tmp_path / "a.xlsx", rows=[["so glad", "joy"], ["so sad", "sadness"]])
    options = TableOptions(header=False, columns=("text", "label"))
    assert open_table(path, options).read_all().columns == {"text": ["so glad", "so sad"], "label": ["joy", "sadness"]}
    with pytest.raises(ConfigError, match=r"data.columns has 1 name .* and .* has 2 columns"):
        open_table(path, TableOptions(header=False, columns=("text",)))


def test_value_beyond_the_named_columns_is_an_error(tmp_path):
    path = workbook(tmp_path / "a.xlsx", rows=[["text"], ["a"], ["b", "x"]])
    with pytest.raises(DataFormatError, match=r"a.xlsx, row 3: a value beyond the 1 named column"):
        open_table(path).read_all()


def test_what_is_no_workbook_or_empty_is_an_error(tmp_path):
    (tmp_path / "a.xlsx").write_text("text")
    with pytest.raises(DataFormatError, match=r"a.xlsx is not readable as a workbook"):
        open_table(tmp_path / "a.xlsx")
    with pytest.raises(EmptyDataError, match=r"b.xlsx is empty"):
        open_table(workbook(tmp_path / "b.xlsx", rows=[]))


def test_missing_library_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    (tmp_path / "a.xlsx").write_text("text")
    with pytest.raises(
        ConfigError, match=r"openpyxl is not installed\. Install it \(pip install 'emotion-classifiers\[exc"
    ):
        open_table(tmp_path / "a.xlsx")
