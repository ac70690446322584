"""Data in hand: what is written for the readers, and what errors say about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from emotion_classifiers.adapting.inputs import read_unlabelled
from emotion_classifiers.data import arguments, as_given, frequencies_option, options_for, texts_option
from shared.errors import DataFormatError, InvalidInputError


@pytest.mark.parametrize("rows", [[{"text": "a"}, {"text": 3}], pd.DataFrame({"text": ["a", 3]}, index=[7, 9])])
def test_a_column_of_several_kinds_is_named_with_the_first_other_value(tmp_path: Path, rows: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        options_for(rows, tmp_path, text=None, labels=None)
    assert str(caught.value).startswith(
        "the column 'text' holds values of several kinds: str, int; the first int is at position 1, counted from 0."
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            [{"text": "a"}, {"text": "a\ud83d"}],
            "'text' holds a value that no table can hold at position 1, counted from 0: half a surrogate pair",
        ),
        (
            pd.DataFrame({"text": ["a"], "id": [2**70]}),
            "'id' holds a value that no table can hold at position 0, counted from 0: Python int too large",
        ),
        (
            pd.DataFrame({"text": ["a"], "more": [{}]}),
            "data is a DataFrame that is no table .Cannot write struct type 'more' with no child",
        ),
        ({"text": 3}, "data is a dict that is no table"),
    ],
)
def test_a_value_that_no_table_holds_is_named(tmp_path: Path, data: object, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        options_for(data, tmp_path, text=None, labels=None)
    assert not list(tmp_path.iterdir())


def test_rows_that_lack_a_key_keep_those_of_all_rows(tmp_path: Path) -> None:
    rows = [{"text": "a", "joy": 1}, {"text": "b", "anger": 1}, {"grief": 1, "text": "c", "joy": 0}]
    path = options_for(rows, tmp_path, text=None, labels=None)["data.path"]
    assert pq.read_table(path).to_pydict() == {
        "text": ["a", "b", "c"],
        "joy": [1, None, 0],
        "anger": [None, 1, None],
        "grief": [None, None, 1],
    }


def test_data_that_must_be_unchanged_are_compared_and_what_is_there_stays(tmp_path: Path) -> None:
    rows = [{"text": "a", "joy": 1}, {"text": "b", "joy": 0}]
    kept = Path(options_for(rows, tmp_path, text=None, labels=None, unchanged=True)["data.path"])
    options_for(pd.DataFrame(rows), tmp_path, text=None, labels=None, unchanged=True)
    with pytest.raises(InvalidInputError, match=r"not those that this run began with\. Give the same, or"):
        options_for(rows[::-1], tmp_path, text=None, labels=None, unchanged=True)
    with pytest.raises(InvalidInputError, match="several kinds"):
        options_for([{"text": "a"}, {"text": 3}], tmp_path, text=None, labels=None)
    assert pq.read_table(kept).to_pylist() == rows
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize("relative", [False, True])
def test_errors_speak_of_the_data_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: bool) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("data") if relative else tmp_path / "data"
    path = Path(options_for(pd.DataFrame({"t": ["a"]}), folder, text=None, labels=None)["data.path"])
    with pytest.raises(DataFormatError) as caught, as_given(folder):
        raise DataFormatError(f"table {path} and {path.absolute()} differ.", hint="Name it with data.label_column.")
    assert str(caught.value) == "the data given and the data given differ. Name it with labels."
    assert (caught.value.message, caught.value.hint) == (
        "the data given and the data given differ.",
        "Name it with labels.",
    )


@pytest.mark.parametrize(
    "texts", [["a", "b"], ("a", "b"), pd.Series(["a", "b"]), np.array(["a", "b"]), [{"text": "a"}, {"text": "b"}]]
)  # fmt: skip
def test_texts_in_hand_become_a_table(tmp_path: Path, texts: object) -> None:
    assert pq.read_table(texts_option(texts, tmp_path)).to_pydict() == {"text": ["a", "b"]}


def test_a_missing_text_in_hand_is_no_text(tmp_path: Path) -> None:
    path = texts_option(pd.Series(["a", np.nan, None, "b"]), tmp_path)
    assert read_unlabelled(Path(path), None) == ["a", "b"]
    path = texts_option(pd.DataFrame({"text": [1.5, np.nan]}), tmp_path)
    assert read_unlabelled(Path(path), None) == ["1.5"]


@pytest.mark.parametrize("text", [["a"], {"a": 1}, b"a"])
def test_what_is_no_text_is_not_read_as_one(tmp_path: Path, text: object) -> None:
    path = texts_option([None, text], tmp_path)
    said = "^the table of texts, row 2: the text is .*, which is no text"
    with pytest.raises(DataFormatError, match=said), as_given(tmp_path):
        read_unlabelled(Path(path), None)


def test_paths_stay_as_they_are_and_other_kinds_are_refused(tmp_path: Path) -> None:
    assert texts_option(tmp_path / "a.csv", tmp_path) == str(tmp_path / "a.csv")
    assert frequencies_option("f.yaml", tmp_path) == "f.yaml"
    with pytest.raises(InvalidInputError, match="texts is a int, not a list of texts"):
        texts_option(3, tmp_path)
    with pytest.raises(InvalidInputError, match="frequencies is a list, not label -> share"):
        frequencies_option([("joy", 0.3)], tmp_path)


def test_frequencies_in_hand_become_yaml(tmp_path: Path) -> None:
    path = frequencies_option({"joy": 0.25, "sadness": np.float32(0.5)}, tmp_path)
    assert yaml.safe_load(Path(path).read_text()) == {"joy": 0.25, "sadness": 0.5}


def test_options_are_written_as_on_the_command_line_and_never_hold_texts() -> None:
    given = {"a": "x y", "b": Path("c"), "d": [1, None], "e": np.array([1, 2]), "f": np.float64(0.5), "g": True}
    assert arguments(given) == ["--a=x y", "--b=c", "--d=[1, null]", "--e=[1, 2]", "--f=0.5", "--g=true"]
    with pytest.raises(InvalidInputError, match="^level is a DataFrame, which no option takes.$"):
        arguments({"level": pd.DataFrame({"text": ["a secret"]})})
