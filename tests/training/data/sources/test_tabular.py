"""A source's tables are read by the reader of all tables, with what the user says about them."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import ConfigError, DataFormatError
from shared.tables import open_table
from training.config.data import SourceConfig
from training.data.sources import tabular
from training.data.sources.kept import sources_kept
from training.data.sources.tabular import read_table


def test_options_of_the_source_reach_the_reader_and_its_choices_are_kept(tmp_path):
    path = tmp_path / "rows.txt"
    path.write_bytes("i didnt feel humiliated;sadness\ncaf\xe9;joy\n".encode("cp1252"))
    source = SourceConfig("table", header=False, columns=["text", "label"], separator=";", encoding="cp1252")
    table = read_table(path, source)
    assert table.columns == {"text": ["i didnt feel humiliated", "café"], "label": ["sadness", "joy"]}
    assert (table.path, len(table), table.notes) == (path, 2, ())
    unnamed = read_table(path, SourceConfig("table", header=False, separator=";", encoding="cp1252"))
    assert unnamed.notes == (f"{path} has no header: its columns are called column_1, column_2",)


def test_a_table_is_read_once_where_tables_are_kept(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(tabular, "open_table", lambda *given: opened.append(given) or open_table(*given))
    path, link = tmp_path / "rows.csv", tmp_path / "other.csv"
    path.write_text("text,label\na b,joy\n")
    link.symlink_to(path)
    with sources_kept():
        assert (read_table(path).columns, read_table(link).path) == (read_table(path).columns, link)
        assert len(opened) == 1
        read_table(path, SourceConfig("table", separator=","))
        assert len(opened) == 2
    read_table(path)
    assert len(opened) == 3


def test_parts_of_a_table_are_read_one_after_the_other(tmp_path):
    parts = [tmp_path / f"train-{number}.csv" for number in (0, 1)]
    parts[0].write_text("text,label\na b,joy\n")
    parts[1].write_text("label,text\nfear,c d\n")
    assert read_table(parts).columns == {"text": ["a b", "c d"], "label": ["joy", "fear"]}


def test_unknown_suffix_names_the_key_of_the_format(tmp_path):
    path = tmp_path / "rows.xls"
    path.write_text("x")
    with pytest.raises(
        ConfigError, match=r"cannot tell the format of .*rows.xls: .* Name it so, or give data.format\."
    ):
        read_table(path)


def test_texts_of_a_column_are_those_that_its_cells_hold(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a b"}\n{"text": NaN}\n{"text": null}\n{"text": true}\n{"text": 5}\n')
    assert list(read_table(path).texts("text")) == ["a b", None, None, "true", "5"]
    for cell in ('["a b"]', '{"a": 1}'):
        path.write_text(f'{{"text": "a b"}}\n{{"text": {cell}}}\n')
        with pytest.raises(
            DataFormatError, match=r"rows.jsonl, column 'text', row 2: the text is .*, which is no text"
        ):
            read_table(path).texts("text")
    pq.write_table(pa.table({"text": [b"a b"]}), tmp_path / "rows.parquet")
    with pytest.raises(DataFormatError, match=r"column 'text', row 1: the text is b'a b', which is no text"):
        read_table(tmp_path / "rows.parquet").texts("text")
