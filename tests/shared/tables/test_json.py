"""JSON: an object a line, one list, or one object that is a table; numbers keep how they were written."""

import json
import tracemalloc

import pytest

from shared.errors import DataFormatError
from shared.tables import TableOptions, open_table
from shared.tables.values import JsonFloat


def opened(path, content):
    path.write_text(content, encoding="utf-8")
    return open_table(path)


def read(path, content):
    return dict(opened(path, content).read_all().columns)


ROWS = [{"text": "a", "n": 1}, {"text": None, "n": 10**20, "deep": {"x": [1]}}]
COLUMNS = {"text": ["a", None], "n": [1, 10**20], "deep": [None, {"x": [1]}]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("a.ndjson", "\ufeff" + "\r\n\r\n".join(map(json.dumps, ROWS)) + "\r\n"),
        ("a.json", "\n".join(map(json.dumps, ROWS))),
        ("a.json", json.dumps(ROWS)),
        ("a.json", json.dumps(ROWS, indent=4)),
        ("a.json", json.dumps({"version": 2, "data": ROWS})),
        ("a.json", json.dumps({"version": 2, "data": ROWS}, indent=1)),
        ("a.jsonl", json.dumps(ROWS)),
    ],
)
def test_rows_are_the_same_however_the_file_is_laid_out(tmp_path, name, content):
    assert read(tmp_path / name, content) == COLUMNS


@pytest.mark.parametrize("orient", ["columns", "list"])
def test_columns_as_pandas_writes_them(tmp_path, orient):
    import pandas as pd

    table = pd.DataFrame({"text": ["a", "b"], "label": ["joy", "fear"]})
    content = table.to_json() if orient == "columns" else json.dumps(table.to_dict("list"))
    assert read(tmp_path / "a.json", content) == {"text": ["a", "b"], "label": ["joy", "fear"]}


def test_one_line_of_jsonl_is_a_row_even_where_it_could_be_columns(tmp_path):
    assert read(tmp_path / "a.jsonl", '{"text": {"0": "a"}}') == {"text": [{"0": "a"}]}
    assert read(tmp_path / "a.json", '{"text": "a"}') == {"text": ["a"]}


ENTRY = {"text": "so sad today", "date": "2026-01-01", "comments": [{"text": "oh no"}, {"text": "take care"}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            ENTRY,
            r"the rows of its list 'comments', or as one row with the text 'so sad today'\. Write the list alone",
        ),
        ({**ENTRY, "text": "sad"}, "one row with the text 'sad'"),
        ({"tweet": "so sad", "replies": [{"reply": "oh no"}]}, "the rows of its list 'replies', or as one row"),
        ({"note": "so sad", "replies": [{"note": "oh no"}]}, "one row with the note 'so sad'"),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_within_an_object_that_may_be_a_row_itself_is_refused(tmp_path, content, message, indent):
    with pytest.raises(DataFormatError, match=message):
        opened(tmp_path / "a.json", json.dumps(content, indent=indent))


def test_the_list_that_is_read_is_named_where_the_object_holds_more(tmp_path):
    content = {"version": "2 beta", "message": "OK", "id": "x1", "data": [{"id": 1, "text": "so glad"}]}
    table = opened(tmp_path / "a.json", json.dumps(content))
    assert table.read_all().columns == {"id": [1], "text": ["so glad"]}
    assert table.notes == [f"{tmp_path}/a.json: the rows are those of the list 'data'; not read: version, message, id"]
    assert opened(tmp_path / "b.json", '{"data": [{"text": "so glad"}]}').notes == []
    assert read(tmp_path / "c.json", json.dumps([ENTRY]))["text"] == ["so sad today"]


def test_numbers_keep_how_they_were_written_and_count_as_numbers(tmp_path):
    found = read(tmp_path / "a.jsonl", '{"n": 1e-12}\n{"n": 5.0}\n{"n": 0.10}\n{"n": 5}')["n"]
    assert [value.literal for value in found[:3]] == ["1e-12", "5.0", "0.10"]
    assert found == [1e-12, 5.0, 0.1, 5]
    assert isinstance(found[0], JsonFloat)
    assert type(found[3]) is int


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text"\n', r"a.jsonl, line 2: not valid JSON \(Expecting ':'"),
        (
            "a.jsonl",
            '{"text": "a"}\n3\n',
            r'line 2: expected a JSON object, found 3\. A row is an object such as \{"text"',
        ),
        ("a.jsonl", '{"a": 1, "a": 2}\n', r"line 1: not valid JSON \(the name 'a' occurs twice in one object\)"),
        ("a.json", '[{"a": 1}, 3]', r"row 2: expected a JSON object, found 3"),
        ("a.json", '[{"a": 1} {"a": 2}]', r"row 1: not valid JSON \(',' or '\]' expected after it\)"),
        ("a.json", '[{"a": 1},]', r"row 1: not valid JSON \(',' or '\]' expected after it\)"),
        ("a.json", '[{"a": 1}, {"a": ', r"row 2: not valid JSON \(Expecting value\)"),
        ("a.json", '[{"a": 1, "a": 2}]', r"row 1: not valid JSON \(the name 'a' occurs twice"),
        ("a.json", '[{"a": 1}] x', r"content after the end of the list"),
        ("a.json", '{"a": [1, 2], "b": [1]}', r"is one JSON object that is no table"),
        ("a.json", '{\n"a": 1,\n"b": [1]}', r"is one JSON object that is no table"),
        ("a.json", '{"train": [{"x": 1}], "test": [{"x": 2}]}', r"is one JSON object that is no table"),
        ("a.json", '{"a": [{"x": 1}], "b": [{"x": 1}, {"x": 2}]}', r"is one JSON object that is no table"),
    ],
)
def test_invalid_content_is_named_by_line_or_row(tmp_path, name, content, message):
    with pytest.raises(DataFormatError, match=message):
        read(tmp_path / name, content)


def test_rows_that_lie_across_the_pieces_read_are_whole(tmp_path):
    rows = [{"text": 'é☕ \\ " ' + "x" * (number % 97), "n": number} for number in range(20_000)]
    expected = {"text": [row["text"] for row in rows], "n": [row["n"] for row in rows]}
    assert read(tmp_path / "a.json", json.dumps(rows, ensure_ascii=False)) == expected
    long = [{"text": "so " * 200_000}, {"text": "b"}]
    assert read(tmp_path / "b.json", json.dumps(long))["text"] == [row["text"] for row in long]


def test_a_long_list_on_one_line_is_not_held(tmp_path):
    row = '{"text": "so very glad today"}'
    table = opened(tmp_path / "a.json", "[" + ",".join([row] * 120_000) + "]")
    tracemalloc.start()
    try:
        assert sum(len(chunk) for chunk in table.chunks(1000)) == 120_000
        assert tracemalloc.get_traced_memory()[1] < 2_500_000  # the file has 3,600,000 characters
    finally:
        tracemalloc.stop()


def test_a_file_of_which_no_row_can_be_read_is_an_error_where_bad_rows_are_none(tmp_path):
    (tmp_path / "a.jsonl").write_text("text,id\nfine,1\n")
    message = r"a.jsonl: none of its first 2 rows can be read, the first as: not valid JSON .* of another kind\?"
    with pytest.raises(DataFormatError, match=message):
        open_table(tmp_path / "a.jsonl", TableOptions(tolerant=True))
