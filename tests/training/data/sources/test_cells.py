import math

import pytest

from shared.errors import DataFormatError
from training.config.data import LabelKeys
from training.data.sources.label_column import read_cells


def read(values, delimiter=None, names=None):
    return read_cells(values, "x.csv, column 'l'", LabelKeys(delimiter=delimiter), names)


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        (["joy", " fear "], [["joy"], ["fear"]]),
        (["joy,fear", "joy"], [["joy", "fear"], ["joy"]]),
        (["joy; fear", "joy"], [["joy", "fear"], ["joy"]]),
        (["joy|fear", "joy"], [["joy", "fear"], ["joy"]]),
        ([["joy", "fear"], []], [["joy", "fear"], []]),
        (["['joy', 'fear']", "[]"], [["joy", "fear"], []]),
        (['["joy"]', "[joy, fear]"], [["joy"], ["joy", "fear"]]),
        ([0, 2], [["0"], ["2"]]),
        ([0.0, 2.0], [["0"], ["2"]]),
        (["3,17", "2"], [["3", "17"], ["2"]]),
        (["[ 3 17]", "[2]"], [["3", "17"], ["2"]]),
        ([[3, 17], [2]], [["3", "17"], ["2"]]),
        (["joy", "", None, math.nan], [["joy"], None, None, None]),
    ],
)
def test_every_form_of_a_cell(values, rows):
    assert [row and sorted(row) for row in read(values).rows] == [row and sorted(row) for row in rows]


def test_ids_take_names_by_position():
    cells = read([1, 0], names=["bad", "good"])
    assert cells.rows == [["good"], ["bad"]]
    assert cells.labels == ("bad", "good")
    assert not cells.numbered


def test_ids_without_names_say_so():
    cells = read([10, 9])
    assert cells.labels == ("9", "10")
    assert cells.numbered
    assert cells.form == "ids without names, one label a cell"


def test_declared_labels_are_annotated_though_none_occurs():
    assert read(["joy"], names=["joy", "fear"]).labels == ("joy", "fear")


def test_names_take_the_spelling_of_the_declared_ones():
    assert read(["Joy"], names=["joy"]).rows == [["joy"]]


def test_delimiter_may_be_named_or_switched_off():
    assert read(["joy/fear"], delimiter="/").rows == [["fear", "joy"]]
    assert read(["joy, quiet"], delimiter="none").rows == [["joy, quiet"]]


def test_declared_names_with_a_comma_are_not_cut():
    assert read(["joy, quiet"], names=["joy, quiet"]).rows == [["joy, quiet"]]


def test_two_possible_delimiters_are_an_error():
    with pytest.raises(
        DataFormatError, match=r"labels of a cell may be separated by any of: , \|. Name it with data.delimiter"
    ):
        read(["joy,fear", "joy|fear"])


def test_id_outside_the_names_is_an_error():
    with pytest.raises(
        DataFormatError, match=r"x.csv, column 'l': label ids 2, 7 are outside 0\.\.1: there are 2 labels"
    ):
        read([0, 7, 2], names=["bad", "good"])


@pytest.mark.parametrize("value", [["joy", None], [["joy"]], ["joy", " "]])
def test_what_is_no_label_is_an_error(value):
    with pytest.raises(DataFormatError, match="is not a label; expected a name or a whole number"):
        read([value])
