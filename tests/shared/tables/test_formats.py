import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import DataFormatError, EmptyDataError
from shared.tables import open_table


def read_table(path):
    return open_table(path).read_all()


def write(path, content):
    path.write_bytes(content.encode())
    return path


@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
def test_separator_of_a_csv_is_found(tmp_path, separator):
    path = write(tmp_path / "a.csv", f'text{separator}label\r\n"a{separator} ""b""\nc"{separator}joy\r\n')
    assert read_table(path).columns == {"text": [f'a{separator} "b"\nc'], "label": ["joy"]}


def test_quotes_of_a_tsv_are_plain_when_the_columns_come_out_even(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"Well" she said "no"\tjoy\n"so\tfear\n')
    assert read_table(path).columns["text"] == ['"Well" she said "no"', '"so']


def test_cell_that_a_csv_writer_quoted_loses_its_quotes_in_a_tsv(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"say ""no"""\tjoy\n"Fine"\tjoy\n')
    assert read_table(path).columns["text"] == ['say "no"', '"Fine"']


def test_quoted_line_break_in_a_tsv(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"one\ntwo\tthree"\tjoy\n')
    assert read_table(path).columns["text"] == ["one\ntwo\tthree"]


def test_json_lines_and_one_list_are_the_same(tmp_path):
    rows = [{"text": "a\u2028b", "labels": ["joy"]}, {"text": None}]
    lines = write(tmp_path / "a.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n")
    whole = write(tmp_path / "a.json", json.dumps(rows))
    assert (
        read_table(lines).columns
        == read_table(whole).columns
        == {"text": ["a\u2028b", None], "labels": [["joy"], None]}
    )


def test_parquet_brings_the_names_of_its_ids(tmp_path):
    feature = {"names": ["bad", "good"], "_type": "ClassLabel"}
    info = {
        "info": {
            "features": {"label": feature, "labels": {"feature": feature, "_type": "List"}, "text": {"_type": "Value"}}
        }
    }
    table = pa.table({"text": ["a"], "label": [1], "labels": [[0]]})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), tmp_path / "a.parquet")
    assert open_table(tmp_path / "a.parquet").class_names == {"label": ["bad", "good"], "labels": ["bad", "good"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\na,b,c\n", "a.csv, line 2: 3 fields where the header has 2"),
        ("a.csv", "text,text\na,b\n", "columns of the same name in its header: text. Name all 2 columns"),
        ("a.csv", 'text,label\n"a"b,c\n"d",e\n', "line 2 is not quoted as CSV is .',' expected after '\"'"),
        ("a.jsonl", '{"text": "a"}\n{"text"\n', r"a.jsonl, line 2: not valid JSON"),
        ("a.jsonl", '{"text": "a"}\n3\n', r"a.jsonl, line 2: expected a JSON object, found 3"),
        ("a.parquet", "PAR", "a.parquet is not readable as Parquet"),
    ],
)
def test_wrong_content_is_named(tmp_path, name, content, message):
    with pytest.raises(DataFormatError, match=message):
        read_table(write(tmp_path / name, content))


def test_empty_file_is_an_error(tmp_path):
    with pytest.raises(EmptyDataError, match=r"a.csv is empty"):
        read_table(write(tmp_path / "a.csv", ""))
