"""Small tables of every format, read as columns."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shared.errors import DataFormatError, DataNotFoundError
from shared.tables import TableOptions, chunk, open_table
from shared.tables.byte_source import ByteSource
from shared.tables.values import JsonFloat, name_in, text_of


def read(path, content, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_table(path, TableOptions(**options)).read_all()


def test_columns_and_line_numbers_of_a_csv(tmp_path):
    found = read(tmp_path / "a.csv", 'text,label\r\n"two\r\nlines, one cell",joy\r\n\r\nplain,fear\r\n')
    assert found.columns == {"text": ["two\r\nlines, one cell", "plain"], "label": ["joy", "fear"]}
    assert list(found.numbers) == [2, 5]


def test_row_with_too_many_fields_is_an_error_and_never_a_shift(tmp_path):
    with pytest.raises(DataFormatError, match=r"a.csv, line 2: 2 fields where the header has 1\."):
        read(tmp_path / "a.csv", "text\nThank you, that was kind\n")
    with pytest.raises(DataFormatError, match=r"b.csv, line 2: 3 fields where the header has 2\."):
        read(tmp_path / "b.csv", "text,id\nhappy, very happy,1\nsad,2\n")


def test_json_lines_keep_integers_beside_nulls_and_nested_values(tmp_path):
    rows = [{"prev": None, "text": "a", "deep": {"x": [1, "b"]}}, {"prev": 1745216389265584132, "text": "b"}]
    found = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert found.columns == {"prev": [None, 1745216389265584132], "text": ["a", "b"], "deep": [{"x": [1, "b"]}, None]}


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
def test_chunks_end_early_where_texts_are_long(tmp_path, name, monkeypatch):
    monkeypatch.setattr(chunk, "MAX_CHARACTERS", 1000)
    texts = ["so glad"] * 5 + ["so " * 300] * 4 + ["a"]
    lines = [json.dumps({"text": text}) for text in texts] if name == "a.jsonl" else texts
    (tmp_path / name).write_text("\n".join(["text"] * (name == "a.csv") + lines))
    found = list(open_table(tmp_path / name).chunks(4))
    assert [text for part in found for text in part.columns["text"]] == texts
    assert [len(part) for part in found] == [4, 3, 2, 1]


def test_slices_side_by_side_have_each_bad_row_once():
    bad = [chunk.BadRow(number, "torn") for number in (1, 4, 5, 9)]
    whole = chunk.Chunk({"text": ["a", "b", "c", "d"]}, "t.csv", [2, 3, 6, 8], bad=bad)
    for cuts in ((0, 4), (0, 1, 4), (0, 2, 4), (0, 0, 3, 4, 4)):
        slices = [whole.rows(start, stop) for start, stop in itertools.pairwise(cuts)]
        assert [row for part in slices for row in part.bad] == bad
        assert chunk.joined(slices) == whole
    assert [row.number for row in whole.rows(1, 2).bad] == [4, 5]


@pytest.mark.parametrize(
    ("value", "text", "name"),
    [
        (" a ", " a ", "a"), (None, None, ""), (float("nan"), None, ""), (JsonFloat("NaN"), None, ""), (7, "7", "7"),
        (JsonFloat("1e5"), "1e5", "1e5"), (True, "true", "true"), ("nan", "nan", "nan"),
        (np.float32("nan"), None, ""), (pd.NA, None, ""), (pd.NaT, None, ""), (10**400, str(10**400), str(10**400)),
    ],
)  # fmt: skip
def test_a_missing_value_is_neither_a_text_nor_a_name(value, text, name):
    assert (text_of(value), name_in(value)) == (text, name)


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "jsonl", "json", "parquet"])
def test_a_file_that_the_disk_does_not_give_is_an_error_of_one_line(tmp_path, suffix):
    if not Path("/proc/self/mem").exists():
        pytest.skip("Linux alone has a file of which every read fails")
    path = tmp_path / f"a.{suffix}"
    path.symlink_to("/proc/self/mem")  # whose first page is never mapped
    with pytest.raises(DataNotFoundError, match=rf"^{path} cannot be read: Input/output error\.$"):
        open_table(path)


def test_a_file_that_cannot_be_opened_is_an_error_of_one_line(tmp_path):
    (tmp_path / "a.csv").write_text("text\nfine\n")
    source = ByteSource(tmp_path / "a.csv")
    (tmp_path / "a.csv").unlink()
    with pytest.raises(DataNotFoundError, match=r"a.csv cannot be read: No such file or directory\."), source.open():
        pass
