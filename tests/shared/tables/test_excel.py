"""Workbooks: the sheet, its header, and values with their types."""

import datetime
import io
import json
import zipfile

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


def test_a_first_row_that_looks_like_data_is_refused_as_in_csv(tmp_path):
    rows = [["I am so happy today", "joy"], ["this is awful", "anger"], ["why me", "sadness"], ["yay", "joy"]]
    path = workbook(tmp_path / "a.xlsx", rows=[[None, None], *rows])
    with pytest.raises(
        DataFormatError, match=r"a.xlsx, row 2: .*looks like data.*'joy' occurs again in column 2.* data.header false"
    ):
        open_table(path)
    assert len(open_table(path, TableOptions(header=False)).read_all()) == 4
    assert len(open_table(path, TableOptions(header=True)).read_all()) == 3
    numbers = workbook(tmp_path / "b.xlsx", rows=[["x", 4], ["y", 7.5], ["z", 4]])
    with pytest.raises(DataFormatError, match=r"row 1: .*'4' is a number, as all of column 2"):
        open_table(numbers)


def test_doubt_about_the_header_is_said(tmp_path):
    table = open_table(workbook(tmp_path / "a.xlsx", rows=[["How do you feel now?", "joy"], ["well", True]]))
    assert table.notes == [
        f"{table.name}: the first row is read as the header, though 'How do you feel now?' is a sentence "
        "(data.header false: data)"
    ]
    named = open_table(workbook(tmp_path / "b.xlsx", rows=[["text", "x"], ["a", 1]]), TableOptions(header=False))
    assert named.columns == ["column_1", "column_2"]
    assert ["looks like a header (text, x)" in named.notes[0], "has no header" in named.notes[1]] == [True, True]


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


def rewritten(path, change):
    """A workbook whose only sheet's XML is changed, as programs other than openpyxl write it."""
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    parts["xl/worksheets/sheet1.xml"] = change(parts["xl/worksheets/sheet1.xml"])
    with zipfile.ZipFile(path, "w") as book:
        for name, content in parts.items():
            book.writestr(name, content)
    return path


def test_rows_beyond_the_dimensions_that_a_file_claims_are_read(tmp_path):
    path = workbook(tmp_path / "a.xlsx", rows=[["text", "n"], ["a", 1], ["b", 2]])
    found = open_table(rewritten(path, lambda xml: xml.replace(b'ref="A1:B3"', b'ref="A1"'))).read_all()
    assert found.columns == {"text": ["a", "b"], "n": [1, 2]}


def test_a_formula_without_its_value_is_an_error(tmp_path):
    path = workbook(tmp_path / "a.xlsx", rows=[["text", "n"], ["a", 1], ['=CONCATENATE("b","c")', "=1+1"]])
    with pytest.raises(
        DataFormatError, match=r"a.xlsx, row 3: cell A3 holds a formula, and the file holds no value of"
    ):
        open_table(path).read_all()

    def calculated(xml):
        text, number = b"bc", b"2"
        return xml.replace(b"<v />", b"<v>%s</v>" % text, 1).replace(b"<v />", b"<v>%s</v>" % number, 1).replace(
            b'r="A3"', b'r="A3" t="str"'
        )  # fmt: skip

    found = open_table(rewritten(path, calculated)).read_all()
    assert found.columns == {"text": ["a", "bc"], "n": [1, 2]}
    rewritten(path, lambda xml: xml.replace(b"<v>bc</v>", b"<v></v>"))  # a formula whose value is no text
    assert open_table(path).read_all().columns == {"text": ["a", None], "n": [1, 2]}


def test_not_available_is_no_value_and_other_errors_name_their_cell(tmp_path):
    rows = [["text", "n"], ["a", "#N/A"], ["#N/A", 2], ["b", "#REF!"], ["c", 4]]  # openpyxl writes these as errors
    with pytest.raises(DataFormatError, match=r"a.xlsx, row 4: cell B4 holds the error #REF!\. Mend it .* #N/A alone"):
        open_table(workbook(tmp_path / "a.xlsx", rows=rows)).read_all()
    with pytest.raises(DataFormatError, match=r"row 1: cell B1 holds the error #VALUE!"):
        open_table(workbook(tmp_path / "b.xlsx", rows=[["text", "#VALUE!"], ["a", 1]]))
    (chunk,) = open_table(tmp_path / "a.xlsx", TableOptions(tolerant=True)).chunks()
    assert dict(chunk.columns) == {"text": ["a", None, "c"], "n": [None, 2, 4]}
    assert [(row.number, row.content) for row in chunk.bad] == [(4, "b\t#REF!")]
    typed = rewritten(tmp_path / "a.xlsx", lambda xml: xml.replace(b't="e"', b't="str"'))  # typed in, as a text
    assert open_table(typed).read_all().columns["text"] == ["a", "#N/A", "b", "c"]


def test_sheets_of_charts_are_none_of_rows(tmp_path):
    book = openpyxl.Workbook()
    for row in (["text", "n"], ["a", 1]):
        book.active.append(row)
    chart = openpyxl.chart.BarChart()
    chart.add_data(openpyxl.chart.Reference(book.active, min_col=2, min_row=1, max_row=2))
    book.create_chartsheet("chart", 0).add_chart(chart)
    book.save(tmp_path / "a.xlsx")
    assert open_table(tmp_path / "a.xlsx").read_all().columns == {"text": ["a"], "n": [1]}
