"""Values of Arrow in Python: dates and times as they are in the file, of every year and wherever they stand."""

import io

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from shared.errors import ConfigError, DataFormatError
from shared.tables import open_table
from shared.tables.arrow_values import values_of
from shared.tables.writing import open_writer

AT = pa.timestamp("us")
CYCLES_DAYS = 146_097 * 25
"""25 times the 400 years after which the calendar repeats itself: 10,000 years."""
FAR = CYCLES_DAYS * 24 * 60 * 60 * 10**6
FAR_TEXT, ZERO_TEXT = "11970-01-01 00:00:00.000000", "1970-01-01 00:00:00.000000"


@pytest.mark.parametrize(
    ("numbers", "kind", "values"),
    [
        ([FAR, None, 0], AT, [FAR_TEXT, None, ZERO_TEXT]),
        ([-FAR // 5], pa.timestamp("us", "UTC"), ["-0030-01-01 00:00:00.000000Z"]),
        ([4 * FAR], AT, ["41970-01-01 00:00:00.000000"]),  # beyond the years that Arrow writes
        ([-4 * FAR], pa.timestamp("us", "Nowhere/Land"), ["-38030-01-01 00:00:00.000000Z"]),
        ([4 * CYCLES_DAYS, None], pa.date32(), ["41970-01-01", None]),
        ([4 * CYCLES_DAYS * 86_400_000], pa.date64(), ["41970-01-01"]),
        ([1], pa.time64("ns"), ["00:00:00.000000001"]),
        ([2**62], pa.duration("ms"), [2**62]),
    ],
)
def test_dates_of_every_year_are_iso_texts(numbers, kind, values):
    column = pa.array(numbers, pa.int32() if kind == pa.date32() else pa.int64()).cast(kind)
    assert values_of(column) == values


@pytest.mark.parametrize(
    ("rows", "kind", "values"),
    [
        ([[0, FAR], None, [], [None]], pa.list_(AT), [[ZERO_TEXT, FAR_TEXT], None, [], [None]]),
        ([[FAR], None], pa.large_list(AT), [[FAR_TEXT], None]),
        ([[FAR], [], None], pa.list_view(AT), [[FAR_TEXT], [], None]),
        ([[FAR, 0], None, [0, None]], pa.list_(AT, 2), [[FAR_TEXT, ZERO_TEXT], None, [ZERO_TEXT, None]]),
        ([{"at": FAR, "n": 1}, None], pa.struct({"at": AT, "n": pa.int8()}), [{"at": FAR_TEXT, "n": 1}, None]),
        ([[("a", FAR), ("b", None)], [], None], pa.map_("string", AT), [[("a", FAR_TEXT), ("b", None)], [], None]),
        ([[(FAR, 1)]], pa.map_(AT, pa.int8()), [[(FAR_TEXT, 1)]]),
        ([[{"at": [FAR]}]], pa.list_(pa.struct({"at": pa.list_(AT)})), [[{"at": [FAR_TEXT]}]]),
        ([[FAR]], pa.list_(pa.timestamp("us", "Nowhere/Land")), [["11970-01-01 00:00:00.000000+0000"]]),
        ([[2**62]], pa.list_(pa.duration("us"), 1), [[2**62]]),
        ([[("a", 1)]], pa.map_("string", pa.time64("ns")), [[("a", "00:00:00.000000001")]]),
    ],
)
def test_dates_within_other_values_are_iso_texts(rows, kind, values):
    assert values_of(pa.array(rows, kind)) == values
    assert values_of(pa.array([rows[0], *rows], kind)[1:]) == values  # a part of a column, as chunks are


def test_dates_that_are_stored_once_are_iso_texts():
    dates = pa.array([FAR, None], AT)
    assert values_of(pa.DictionaryArray.from_arrays([1, 0, None, 0], dates)[1:]) == [FAR_TEXT, None, FAR_TEXT]
    assert values_of(pa.RunEndEncodedArray.from_arrays([2, 3], dates)[1:]) == [FAR_TEXT, None]


@pytest.mark.parametrize(
    ("form", "cell"), [("csv", f'"[[""seen"", ""{FAR_TEXT}""]]"'), ("jsonl", f'[["seen", "{FAR_TEXT}"]]')]
)
def test_a_map_of_dates_is_written(tmp_path, form, cell):
    pq.write_table(pa.table({"at": pa.array([[("seen", FAR)]], pa.map_("string", AT))}), tmp_path / "a.parquet")
    assert cell in written(tmp_path / "a.parquet", form)


def test_a_value_that_python_does_not_have_is_an_error_that_names_its_column(tmp_path):
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["x", "x"])
    feather.write_feather(pa.table({"text": ["a"], "both": twice}), tmp_path / "a.arrow")
    with pytest.raises(DataFormatError, match=r"a.arrow: the values of the column 'both' cannot be read: .*Leave that"):
        written(tmp_path / "a.arrow", "csv")
    dates = pa.array([FAR], AT)
    with pytest.raises(ValueError, match="its objects have several fields of one name"):
        values_of(pa.StructArray.from_arrays([dates, dates], ["x", "x"]))


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (pa.array([2**62], pa.int64()).cast(pa.timestamp("s")), "Integer overflow"),  # Parquet has no seconds
        (pa.array([100], pa.decimal128(5, -2)), "Scale must be a non-negative integer"),
    ],
)
def test_what_parquet_does_not_hold_is_an_error(tmp_path, column, why):
    feather.write_feather(pa.table({"c": column}), tmp_path / "a.arrow")
    with pytest.raises(ConfigError, match=rf"a.arrow cannot be written as Parquet: {why}.*Name a .csv or .jsonl"):
        written(tmp_path / "a.arrow", "parquet")


def test_null_among_the_values_of_a_dictionary_is_written_to_parquet(tmp_path):
    column = pa.DictionaryArray.from_arrays([1, 0], pa.array(["a", None]))
    with pa.ipc.new_file(tmp_path / "a.arrow", pa.schema({"c": column.type})) as stream:
        stream.write_table(pa.table({"c": column}))
    content = written(tmp_path / "a.arrow", "parquet")
    assert pq.read_table(io.BytesIO(content)).column("c").to_pylist() == [None, "a"]


def written(path, form):
    """The file in another form; text where it is one."""
    table, stream = open_table(path), io.BytesIO()
    writer = open_writer(stream, form, table, ["p"])
    for chunk in table.chunks():
        writer.write(chunk, {"p": [0.5] * len(chunk)})
    writer.close()
    return stream.getvalue() if form == "parquet" else stream.getvalue().decode()
