"""Parquet and Arrow: what is read, and the types that other tables get in Parquet."""

import io
import json
import pickle

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from shared.errors import ConfigError, DataFormatError
from shared.tables import open_table
from shared.tables.writing import open_writer


def to_parquet(path, content):
    path.write_text(content)
    table = open_table(path)
    stream = io.BytesIO()
    writer = open_writer(stream, "parquet", table, ["p"])
    for chunk in table.chunks():
        writer.write(chunk, {"p": [0.5] * len(chunk)})
    writer.close()
    return pq.read_table(stream).drop_columns(["p"]), writer.notes


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None, 1745216389265584132], pa.int64()),
        ([2**64 - 1, 0], pa.uint64()),
        ([2**64, None, -5], pa.decimal128(38, 0)),
        ([0.5, 5, None], pa.float64()),
        ([[1, 2], [], None], pa.list_(pa.int64())),
        ([[0.5, 1]], pa.list_(pa.float64())),
        ([["a"], [None]], pa.list_(pa.string())),
        ([True, None], pa.bool_()),
        ([None, None], pa.string()),
    ],
)
def test_column_gets_the_narrowest_type_that_holds_its_values(tmp_path, values, kind):
    table, notes = to_parquet(tmp_path / "a.jsonl", "\n".join(json.dumps({"c": value}) for value in values))
    assert table.schema.field("c").type == kind
    assert table.column("c").to_pylist() == values
    assert notes == []


@pytest.mark.parametrize(
    ("rows", "cells", "why"),
    [
        (
            ['{"c": 5}', '{"c": "5 of 6"}', '{"c": 1e-12}'],
            ["5", "5 of 6", "1e-12"],
            "it holds numbers and texts and whole n",
        ),
        (['{"c": {"b": 1.50, "a": null}}', "{}"], ['{"b": 1.50, "a": null}', None], "it holds objects"),
        ([f'{{"c": {10**38}}}', '{"c": 0}'], ["1" + "0" * 38, "0"], "it holds whole numbers of 39 digits"),
        (
            ['{"c": 0.5}', f'{{"c": {2**53 + 1}}}'],
            ["0.5", str(2**53 + 1)],
            "it holds fractions and whole numbers that no",
        ),
        (['{"c": [1, "a"]}'], ['[1, "a"]'], "in its lists, it holds texts and whole numbers"),
    ],
)
def test_values_that_no_type_holds_are_written_as_text_and_said(tmp_path, rows, cells, why):
    table, (note,) = to_parquet(tmp_path / "a.jsonl", "\n".join(rows))
    assert table.column("c").to_pylist() == cells
    assert note.startswith(f"column 'c' is written as text: {why}")


def test_lone_surrogates_become_the_replacement_character(tmp_path):
    table, _ = to_parquet(tmp_path / "a.jsonl", '{"c": "a\\ud83d"}\n{"c": "\\ud83d\\ude00"}')
    assert table.column("c").to_pylist() == ["a\ufffd", "😀"]
    with pytest.raises(ConfigError, match=r"the name c. of a column holds half a surrogate pair.*Name a \.csv"):
        to_parquet(tmp_path / "b.jsonl", '{"c\\ud83d": "a"}')


def test_features_that_datasets_stores_get_the_added_columns(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["joy", "fear"])})
    Dataset.from_dict({"text": ["a"], "label": [1]}, features=features).to_parquet(tmp_path / "a.parquet")
    table = open_table(tmp_path / "a.parquet")
    with (tmp_path / "b.parquet").open("wb") as stream:
        writer = open_writer(stream, "parquet", table, ["names", "p"], lists=["names"])
        for chunk in table.chunks():
            writer.write(chunk, {"names": [["joy"]], "p": [0.5]})
        writer.close()
    found = Dataset.from_parquet(str(tmp_path / "b.parquet"), cache_dir=str(tmp_path / "cache"))
    assert found[0] == {"text": "a", "label": 1, "names": ["joy"], "p": 0.5}
    assert found.features["label"].names == ["joy", "fear"]


def test_arrow_files_and_streams_are_read(tmp_path):
    table = pa.table({"text": ["a", "b"], "n": [1, None]})
    feather.write_feather(table, tmp_path / "a.feather", compression="uncompressed")
    with pa.ipc.new_stream(tmp_path / "b.arrow", table.schema) as stream:
        stream.write_table(table)
    for name in ("a.feather", "b.arrow"):
        assert dict(open_table(tmp_path / name).read_all().columns) == {"text": ["a", "b"], "n": [1, None]}


def test_row_numbers_go_on_over_chunks(tmp_path):
    pq.write_table(pa.table({"text": [str(row) for row in range(10)]}), tmp_path / "a.parquet", row_group_size=3)
    chunks = list(open_table(tmp_path / "a.parquet").chunks(4))
    assert [number for chunk in chunks for number in chunk.numbers] == list(range(1, 11))
    assert chunks[1].where(0) == f"{tmp_path}/a.parquet, row {chunks[1].numbers[0]}"
    assert max(map(len, chunks)) <= 4


def test_what_cannot_be_read_or_written_is_an_error(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataFormatError, match=r"a.parquet is not readable as Parquet: "):
        open_table(tmp_path / "a.parquet")
    (tmp_path / "a.arrow").write_bytes(b"no arrow at all")
    with pytest.raises(DataFormatError, match=r"a.arrow is not readable as an Arrow file: "):
        open_table(tmp_path / "a.arrow")
    pq.write_table(
        pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), tmp_path / "b.parquet"
    )
    with pytest.raises(DataFormatError, match=r"b.parquet has several columns of the name text"):
        open_table(tmp_path / "b.parquet")
    (tmp_path / "a.csv").write_text("text\na\n")
    with pytest.raises(ConfigError, match=r"cannot write xlsx: allowed are csv, tsv, jsonl, json, parquet"):
        open_writer(io.BytesIO(), "xlsx", open_table(tmp_path / "a.csv"), [])


def test_rows_of_a_large_batch_are_sent_alone(tmp_path):
    rows = pa.table({"text": ["x" * 100] * 10_000, "kind": pa.array(["a", "b"] * 5000).dictionary_encode()})
    feather.write_feather(rows, tmp_path / "a.arrow", compression="uncompressed", chunksize=10_000)
    chunks = list(open_table(tmp_path / "a.arrow").chunks(100))
    assert [len(chunk) for chunk in chunks] == [100] * 100
    assert len(pickle.dumps(chunks[50])) < 20_000  # of 100 texts of 100 characters; all of them take 1,000,000
    assert pa.Table.from_batches([pickle.loads(pickle.dumps(chunk)).arrow for chunk in chunks]).equals(rows)


def test_texts_that_are_no_utf8_are_an_error(tmp_path):
    ends = pa.array([0, 1, 3], pa.int32()).buffers()[1]
    column = pa.Array.from_buffers(pa.string(), 2, [None, ends, pa.py_buffer(b"a\xffb")])
    for values in (column, pa.DictionaryArray.from_arrays(pa.array([0, 1]), column)):
        pq.write_table(pa.table({"text": ["a", "b"], "other": values}), tmp_path / "a.parquet")
        with pytest.raises(DataFormatError, match=r"a.parquet is not readable as Parquet: Invalid UTF8 "):
            open_table(tmp_path / "a.parquet").read_all()


def test_times_of_an_unknown_zone_are_read_in_utc(tmp_path):
    times = pa.array([1, None], pa.timestamp("us", "Nowhere/Land"))
    pq.write_table(pa.table({"at": times}), tmp_path / "a.parquet")
    assert open_table(tmp_path / "a.parquet").read_all().columns == {"at": ["1970-01-01 00:00:00.000001+0000", None]}


def test_what_parquet_cannot_hold_is_told_before_anything_is_scored(tmp_path):
    spans = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    feather.write_feather(pa.table({"span": spans}), tmp_path / "a.arrow")
    table = open_table(tmp_path / "a.arrow")
    assert table.read_all().columns == {"span": [(1, 2, 3)]}
    with pytest.raises(ConfigError, match=r"a.arrow cannot be written as Parquet: .*month_day_nano.*Name a .csv or"):
        open_writer(io.BytesIO(), "parquet", table, ["p"])
