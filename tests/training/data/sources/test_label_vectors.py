"""0/1 vectors in a cell, in every print; the right values are the sums of their columns."""

import numpy as np
import pytest

from shared.errors import DataFormatError
from tests.training.data.sources.label_tables import csv, jsonl, read, support

NAMES = ["joy", "anger", "sadness", "fear"]
VECTORS = [[0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0]]


def printed(form):
    return [form(row) for row in VECTORS]


@pytest.mark.parametrize(
    "cells",
    [
        VECTORS,
        printed(lambda row: [float(value) for value in row]),
        printed(lambda row: [bool(value) for value in row]),
        printed(lambda row: [str(value) for value in row]),
        printed(str),
        printed(lambda row: ",".join(map(str, row))),
        printed(lambda row: " ".join(map(str, row))),
        printed(lambda row: ";".join(map(str, row))),
        printed(lambda row: str(np.array(row))),
        printed(lambda row: str(np.array(row, dtype=float))),
        printed(lambda row: str(np.array(row, dtype=bool))),
        printed(lambda row: repr(np.array(row))),
        printed(lambda row: repr([np.float32(value) for value in row])),
        printed(lambda row: f"tensor({[float(value) for value in row]})"),
        printed(lambda row: str(tuple(map(bool, row)))),
    ],
)
def test_0_1_vectors_in_every_print_are_multi_hot(tmp_path, cells):
    corpus = read(jsonl(tmp_path / "a.jsonl", cells), labels=NAMES)
    assert corpus.splits["all"].targets.tolist() == VECTORS
    assert support(corpus) == dict(zip(NAMES, np.sum(VECTORS, axis=0).tolist(), strict=True))
    bare = read(tmp_path / "a.jsonl")
    assert bare.numbered
    assert bare.splits["all"].targets.tolist() == VECTORS


def test_vectors_of_two_labels_have_the_support_of_their_columns(tmp_path):
    cells = [[1, 0], [0, 1], [1, 1], [0, 0]] * 75
    corpus = read(jsonl(tmp_path / "a.jsonl", cells))
    assert support(corpus) == {"0": 150, "1": 150}


def test_two_places_without_a_repeat_are_asked_about(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [[0, 1], [1, 0]])
    with pytest.raises(DataFormatError, match=r"\[0, 1\] may be a 0/1 vector of two labels, or the ids 0 and 1. Say"):
        read(path)
    assert support(read(path, label_form="multi_hot")) == {"0": 1, "1": 1}
    assert support(read(path, label_form="ids")) == {"0": 2, "1": 2}
    assert support(read(path, labels=["no", "yes"])) == {"no": 1, "yes": 1}


def test_lists_of_ids_stay_ids(tmp_path):
    corpus = read(jsonl(tmp_path / "a.jsonl", [[0, 1], [1], [0, 3], []]), labels=NAMES)
    assert support(corpus) == {"joy": 2, "anger": 2, "sadness": 0, "fear": 1}


def test_vectors_of_different_lengths_are_refused(tmp_path):
    with pytest.raises(DataFormatError, match=r"0/1 vectors of different lengths: \[1\] and \[0, 1, 0\]"):
        read(jsonl(tmp_path / "a.jsonl", [[0, 1, 0], [1]]))


def test_vectors_that_do_not_fit_the_labels_are_refused(tmp_path):
    with pytest.raises(DataFormatError, match=r"vectors of 4 values, and there are 2 labels: a, b"):
        read(jsonl(tmp_path / "a.jsonl", VECTORS), labels=["a", "b"])


def test_shares_and_counts_are_not_read_as_classes(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [[0.25, 0.75], [1.0, 0.0]])
    with pytest.raises(DataFormatError, match=r"the value 0\.25; allowed: 0 and 1. Shares in 0\.\.1"):
        read(path)
    assert read(path, soft_labels=True).splits["all"].targets.tolist() == [[0.25, 0.75], [1.0, 0.0]]
    with pytest.raises(DataFormatError, match=r"\[0, 3, 0\]: counts or intensities of 3 labels, or ids\?"):
        read(jsonl(tmp_path / "b.jsonl", [[0, 3, 0], [2, 2, 1]]))


@pytest.mark.parametrize("cells", [["010", "100"], ["0110", "1001"], ["001", "000", "111"], ["01", "10"]])
def test_digits_without_a_separator_are_asked_about(tmp_path, cells):
    path = csv(tmp_path / "a.csv", "text,label", *(f"a b {n},{cell}" for n, cell in enumerate(cells)))
    with pytest.raises(DataFormatError, match=f"holds {cells[0]}: a 0/1 vector of {len(cells[0])} labels, or the id"):
        read(path)
    told = read(path, label_form="multi_hot").splits["all"].targets
    assert told.tolist() == [[int(sign) for sign in cell] for cell in cells]


def test_vectors_that_lost_their_zeros_are_asked_about(tmp_path):
    with pytest.raises(DataFormatError, match=r"holds 1, 10, 100: ids, or 0/1 vectors that lost their leading zeros"):
        read(jsonl(tmp_path / "a.jsonl", [10, 100, 1], "label"))


def test_printed_arrays_that_were_cut_short_are_refused(tmp_path):
    with pytest.raises(DataFormatError, match="was cut short when it was printed"):
        read(jsonl(tmp_path / "a.jsonl", ["[0 0 0 ... 0 1 0]"]))
