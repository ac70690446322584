"""Columns and arrays, in memory and in files: every test is run with both."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.context import Turn, context_of, with_context
from shared.tables.values import JsonFloat, to_text
from training.data import arrays
from training.data.column import COMMON, VALUES_AT_ONCE, Column, numbered
from training.data.keys import first_rows, has_repeats, repeated_groups, rows_inside, rows_outside


@pytest.fixture(params=["memory", "file"], autouse=True)
def place(request, monkeypatch, tmp_path):
    monkeypatch.setenv("EMOTION_CACHE", str(tmp_path))
    if request.param == "file":
        monkeypatch.setattr(arrays, "SPILL_BYTES", 8)
    return request.param


VALUES = [
    "joy", "", None, 1, True, 1.0, float("nan"), ["joy", "fear"], {"joy": 1}, "caf\u00e9", "\ud800 alone", b"\xff", 1,
    "joy", ("a", 2), "\u0000", -0.0, 0.0,
]  # fmt: skip


def test_values_of_any_kind_come_back_as_they_were():
    column = Column.of(iter(VALUES))
    assert (len(column), repr(list(column))) == (len(VALUES), repr(VALUES))
    assert [type(value) for value in column[2:6]] == [type(None), int, bool, float]
    assert (column[-3], column[0], column[1:2]) == ("\u0000", "joy", [""])
    with pytest.raises(IndexError):
        column[len(VALUES)]


def test_a_text_keeps_the_turns_before_it():
    said = with_context("Really?", [Turn("I won", "Ann"), Turn("No")])
    column = Column.of(["Really?", said, "Really?", said])
    assert column == ["Really?", "Really?", "Really?", "Really?"]
    assert [context_of(text) for text in column] == [(), said.context, (), said.context]


def test_a_number_remembers_how_it_was_written():
    assert [to_text(value) for value in Column.of([JsonFloat("1.50"), JsonFloat("1.5")])] == ["1.50", "1.5"]


def test_more_values_than_are_written_or_stored_once_at_a_time():
    many = [f"value {row % (3 * COMMON)}" for row in range(3 * VALUES_AT_ONCE + 5)]
    column = Column.of(many)
    assert column == many
    assert column.take(np.array([9000, 3, 3])) == [many[9000], many[3], many[3]]


def test_columns_are_joined_and_taken_from_in_any_order():
    parts = [Column.of(["a", "b"]), Column.repeated("c", 3), Column.of([]), Column.of([None, "a"]).take(np.array([1]))]
    whole = Column.joined(parts)
    assert whole == ["a", "b", "c", "c", "c", "a"]
    assert whole.take(np.array([5, 2, 1, 0, 0])) == ["a", "c", "b", "a", "a"]
    assert parts[1] == ["c"] * 3
    assert Column.joined([whole, whole])[4:8] == ["c", "a", "a", "b"]
    assert Column.joined([]) == []


def test_a_column_is_equal_to_what_holds_the_same():
    assert Column.of(["a", "b"]) == ("a", "b")
    assert Column.of(["a", "b"]) != ["a"]
    assert Column.of(["a"]) != "a"
    assert repr(Column.of(range(9))) == "Column([0, 1, 2, 3, 4, 5, 6, 7], ...)"


def test_texts_stay_and_other_values_become_texts():
    column = Column.of(["a", "1"])
    assert column.as_texts("") is column
    assert Column.of(["a", 1, None]).as_texts("") == ["a", "1", ""]
    assert Column.of(["a", 1, None]).as_texts(None) == ["a", "1", None]


def test_what_a_function_leaves_as_it_is_is_shared():
    column = Column.of(["a ", "b", "c ", "b"])
    assert column.map(str.strip) == ["a", "b", "c", "b"]
    assert column.take(np.array([3, 2])).map(str.strip).take(np.array([1, 0])) == ["c", "b"]
    assert column.map(str.strip).map(str.upper) == ["A", "B", "C", "B"]


def test_rows_are_alike_within_their_group():
    assert first_rows(["a", "a", "a", "b", "a"], within=np.array([0, 1, 0, 0, 1], np.int8)).tolist() == [0, 1, 0, 3, 1]


def test_arrays_are_of_zeros_and_can_be_written_to(place, tmp_path):
    array = arrays.zeros((5, 3), np.float32)
    array[4, 2] = 7
    assert array.tolist() == [[0, 0, 0]] * 4 + [[0, 0, 7]]
    assert (tmp_path / "rows").is_dir() == (place == "file")
    assert not list(tmp_path.glob("rows/*"))  # the file has no name


def test_rows_that_follow_each_other_are_not_copied_and_cannot_be_written_to():
    array = np.arange(20).reshape(10, 2)
    taken = arrays.rows_of(array, np.arange(3, 7))
    assert np.shares_memory(taken, array)
    with pytest.raises(ValueError, match="read-only"):
        taken[0] = 1
    for rows in ([3, 5, 4, 6], [2, 2], [6, 5], []):
        assert arrays.rows_of(array, np.array(rows, dtype=np.intp)).tolist() == array[rows].tolist()
    assert not np.shares_memory(arrays.copied_rows(array, np.arange(3)), array)
    assert arrays.joined([array[:3], array[7:]]).tolist() == [*array[:3].tolist(), *array[7:].tolist()]


def test_a_cache_folder_that_cannot_be_written_is_done_without(monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "denied")

    monkeypatch.setattr("pathlib.Path.mkdir", denied)
    with arrays.nameless_file() as file:
        assert file.write(b"x") == 1


def test_a_full_disk_is_an_error_and_no_signal(place, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    if place == "file" and hasattr(os, "posix_fallocate"):
        monkeypatch.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="No space left"):
            arrays.zeros(100, np.float64)


KEYS = st.lists(st.sampled_from(["", "a", "b", "c", "caf\u00e9"]), max_size=12)


@settings(deadline=None)
@given(KEYS, KEYS)
def test_equal_keys_are_found(ours, theirs):
    first = first_rows(ours)
    assert first.tolist() == [ours.index(key) for key in ours]
    assert has_repeats(ours) == (len(set(ours)) < len(ours))
    groups = {key: [row for row, other in enumerate(ours) if other == key] for key in ours}
    assert [rows.tolist() for rows in repeated_groups(first)] == [rows for rows in groups.values() if len(rows) > 1]
    assert rows_inside(ours, theirs).tolist() == [row for row, key in enumerate(ours) if key in theirs]
    assert rows_outside(ours, theirs).tolist() == [row for row, key in enumerate(ours) if key not in theirs]
    names, place = numbered(ours)
    assert (names, [names[each] for each in place]) == (sorted(set(ours)), ours)


def test_keys_of_one_hash_are_told_apart(monkeypatch):
    monkeypatch.setattr(Column, "hashes", property(lambda column: np.zeros(len(column), dtype=np.int64)))
    assert first_rows(["a", "b", "a", "c", "b"]).tolist() == [0, 1, 0, 3, 1]
    assert rows_inside(["a", "b", "a"], ["a", "c"]).tolist() == [0, 2]
