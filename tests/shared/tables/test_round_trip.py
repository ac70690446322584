"""What is written back is the user's own data: every format in, every format out, against independent readers."""

import csv
import datetime
import io
import json
import string
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.tables import TableOptions, open_table
from shared.tables.writing import open_writer

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.text(CHARACTERS, max_size=12) | st.sampled_from(
    ["", '"', '""', '"a"', 'say "no"', "a,b", "a;b", "a\tb", "one\ntwo", "cr\rlf\r\n", "007", "1e-12", " blank ",
     "\u2028", "nan", "null", "None", "=1+1"]
)  # fmt: skip
NAMES = st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=3), min_size=1, max_size=4, unique=True)
INTEGERS = st.integers() | st.integers(-(10**20), 10**20) | st.integers(2**62, 2**64)
SCALARS = st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=5
)
ADDED = {"predicted_labels": ["joy", "love"], "p_joy": 0.1 + 0.2}
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def tables(draw, values):
    """Names of columns, and rows that have them all."""
    names = [*draw(NAMES), "text"]
    width = len(names)
    return names, draw(st.lists(st.tuples(*[values] * width), min_size=1, max_size=5))


def written(path, form, rows=3, **options):
    """The table of a file in another format, a few rows at a time, with added columns."""
    table = open_table(path, TableOptions(**options))
    stream = io.BytesIO()
    writer = open_writer(stream, form, table, list(ADDED), lists=["predicted_labels"])
    for chunk in table.chunks(rows):
        writer.write(chunk, {name: [value] * len(chunk) for name, value in ADDED.items()})
    writer.close()
    return stream.getvalue()


def parsed(content, form):
    """Rows of a written table, by other readers than ours; numbers of JSON as they were written."""
    if form in ("csv", "tsv"):
        return list(csv.DictReader(io.StringIO(content.decode(), newline=""), delimiter="\t" if form == "tsv" else ","))
    if form == "jsonl":
        return [json.loads(line, parse_float=str) for line in content.decode().split("\n") if line]
    if form == "json":
        return json.loads(content, parse_float=str)
    return pq.read_table(io.BytesIO(content)).to_pylist()


ADDED_AS = {
    "csv": {"predicted_labels": "joy|love", "p_joy": "0.3"},
    "tsv": {"predicted_labels": "joy|love", "p_joy": "0.3"},
    "jsonl": {"predicted_labels": ["joy", "love"], "p_joy": "0.3"},
    "json": {"predicted_labels": ["joy", "love"], "p_joy": "0.3"},
    "parquet": ADDED,
}
FORMS = pytest.mark.parametrize("form", list(ADDED_AS))


@FORMS
@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@given(table=tables(TEXTS))
@quick
def test_cells_of_a_delimited_file_are_the_same_texts(tmp_path, separator, form, table):
    names, rows = table
    path = tmp_path / "in.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=separator)
        writer.writerows([names, *rows])
    found = parsed(written(path, form, separator=separator, header=True), form)
    assert found == [dict(zip(names, row, strict=True)) | ADDED_AS[form] for row in rows]
    assert [*found[0]] == [*names, *ADDED]


@pytest.mark.parametrize("form", ["jsonl", "json"])
@pytest.mark.parametrize("whole", [True, False])
@given(table=tables(VALUES))
@quick
def test_json_keeps_every_value_as_it_was_written(tmp_path, whole, form, table):
    names, rows = table
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    path = tmp_path / ("in.json" if whole else "in.jsonl")
    text = json.dumps(objects, indent=1, ensure_ascii=False) if whole else "\n".join(map(json.dumps, objects))
    path.write_bytes(text.encode())
    expected = json.loads(json.dumps(objects), parse_float=str)
    assert parsed(written(path, form), form) == [row | ADDED_AS[form] for row in expected]


@pytest.mark.parametrize(
    ("form", "own", "held"),
    [
        ("csv", {"te\ufffdt": "a\ufffd", "l": '["\ufffd"]'}, "{path}: NUL and half a surrogate pair, which CSV cannot"),
        ("tsv", {"te\ufffdt": "a\ufffd", "l": '["\ufffd"]'}, "{path}: NUL and half a surrogate pair, which CSV cannot"),
        ("jsonl", {"te\0t": "a\0", "l": ["\ud83d"]}, None),
        ("json", {"te\0t": "a\0", "l": ["\ud83d"]}, None),
        (
            "parquet",
            {"te\0t": "a\0", "l": ["\ufffd"]},
            "{path}, column 'l': half a surrogate pair, which Parquet cannot",
        ),
    ],
)
@pytest.mark.parametrize("drop", [[], ["x"]])
def test_what_a_format_cannot_hold_is_replaced_and_said(tmp_path, form, own, held, drop):
    path = tmp_path / "in.jsonl"
    path.write_text(
        '{"te\\u0000t": "a\\u0000", "l": ["\\ud83d"]}\n{"te\\u0000t": "b\\u0000", "l": ["\\ud83d"], "x": 1}\n'
    )
    stream = io.BytesIO()
    writer = open_writer(stream, form, table := open_table(path), ["p_joy"], drop=drop)
    for chunk in table.chunks(1):
        writer.write(chunk, {"p_joy": [0.5]})
    writer.close()
    (tmp_path / f"out.{form}").write_bytes(stream.getvalue())
    found = open_table(tmp_path / f"out.{form}").read_all().columns
    assert {name: found[name][0] for name in own} == own
    of_rows = [note for note in writer.notes if str(path) in note]
    assert [note.startswith(held.format(path=path)) for note in of_rows] == [True] * (held is not None)


def as_cell(value):
    """What a CSV cell holds of a JSON value: texts bare, null empty, all else as JSON writes it."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize("form", ["csv", "tsv"])
@given(table=tables(VALUES))
@quick
def test_json_values_in_cells_are_their_literals(tmp_path, form, table):
    names, rows = table
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows))
    expected = [{name: as_cell(value) for name, value in zip(names, row, strict=True)} for row in rows]
    assert parsed(written(path, form), form) == [row | ADDED_AS[form] for row in expected]


@pytest.mark.parametrize(
    "values", [INTEGERS, st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), TEXTS, st.booleans()]
)
@given(data=st.data())
@quick
def test_one_kind_of_json_value_is_the_same_value_in_parquet(tmp_path, values, data):
    column = data.draw(st.lists(st.none() | values, min_size=1, max_size=6))
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(json.dumps({"text": "a", "value": value}) for value in column))
    found = pq.read_table(io.BytesIO(written(path, "parquet"))).column("value").to_pylist()
    assert found == [int(value) if isinstance(value, Decimal) else value for value in column]


ARROW = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1), pa.uint64(): st.integers(0, 2**64 - 1), pa.string(): TEXTS,
    pa.float64(): st.floats(allow_nan=False), pa.timestamp("ns"): st.integers(0, 2**62), pa.date32(): st.dates(),
    pa.decimal128(38, 4): st.decimals(-(10**20), 10**20, places=4), pa.binary(): st.binary(max_size=4),
    pa.list_(pa.int32()): st.lists(st.integers(0, 9), max_size=3), pa.bool_(): st.booleans(),
    pa.timestamp("ms", "Europe/Berlin"): st.integers(0, 2**40),
}  # fmt: skip


@given(data=st.data())
@quick
def test_parquet_keeps_its_types_and_values(tmp_path, data):
    kinds = data.draw(st.lists(st.sampled_from(list(ARROW)), min_size=1, max_size=4))
    size = data.draw(st.integers(1, 5))
    columns = {
        f"c{place}": pa.array(data.draw(st.lists(st.none() | ARROW[kind], min_size=size, max_size=size)), kind)
        for place, kind in enumerate(kinds)
    }
    table = pa.table(columns).replace_schema_metadata({"origin": "here"})
    path = tmp_path / "in.parquet"
    pq.write_table(table, path)
    found = pq.read_table(io.BytesIO(written(path, "parquet")))
    assert found.schema.metadata[b"origin"] == b"here"
    assert found.select(list(columns)).replace_schema_metadata(None).equals(table.replace_schema_metadata(None))
    assert found.column("p_joy").to_pylist() == [ADDED["p_joy"]] * size


def test_parquet_values_as_text_lose_no_digit(tmp_path):
    table = pa.table({
        "text": ["a"], "id": pa.array([1745216389265584132], pa.int64()), "half": pa.array([1e-12]),
        "at": pa.array([1700000000123456789], pa.timestamp("ns")), "day": pa.array([datetime.date(2024, 2, 29)]),
        "zone": pa.array([1700000000123], pa.timestamp("ms", "Europe/Berlin")), "price": pa.array([Decimal("5.10")]),
        "deep": pa.array([{"x": [1, None], "at": datetime.datetime(2024, 1, 2, 3)}]), "raw": pa.array([b"\x00\xff"]),
        "none": pa.array([None], pa.float64()), "nan": pa.array([float("nan")]),
        "took": pa.array([5], pa.duration("s")),
    })  # fmt: skip
    path = tmp_path / "in.parquet"
    pq.write_table(table, path)
    cells = {
        "text": "a", "id": "1745216389265584132", "half": "1e-12", "at": "2023-11-14 22:13:20.123456789",
        "day": "2024-02-29", "zone": "2023-11-14 23:13:20.123+0100", "price": "5.10",
        "deep": '{"x": [1, null], "at": "2024-01-02 03:00:00.000000"}', "raw": "AP8=", "none": "", "nan": "nan",
        "took": "5",
    }  # fmt: skip
    assert parsed(written(path, "csv"), "csv") == [cells | ADDED_AS["csv"]]
    values = cells | {
        "id": 1745216389265584132, "price": "5.10", "none": None, "nan": None, "took": 5,
        "deep": {"x": [1, None], "at": "2024-01-02 03:00:00.000000"},
    }  # fmt: skip
    assert parsed(written(path, "jsonl"), "jsonl") == [values | ADDED_AS["jsonl"]]
