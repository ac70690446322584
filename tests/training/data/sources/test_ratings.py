"""Rows of raters and their answers beside labels; the right votes are counted by hand."""

import numpy as np
import pandas as pd
import pytest

from shared.errors import DataFormatError
from tests.training.data.sources.label_tables import csv, read, support

RATED = [
    "text,emotion,rater_1,rater_2,rater_3",
    *(f"{text},{label},{answers}" for text, rows in {
        "so glad": {"joy": "1,1,1", "anger": "0,0,0", "fear": "0,1,0"},
        "so cross": {"joy": "0,0,0", "anger": "1,1,0", "fear": "1,1,0"},
        "no idea": {"joy": "0,0,1", "anger": "0,,0", "fear": "0,0,0"},
    }.items() for label, answers in rows.items()),
]  # fmt: skip


def test_a_row_per_text_and_emotion_is_refused_or_aggregated(tmp_path):
    path = csv(tmp_path / "a.csv", *RATED)
    with pytest.raises(
        DataFormatError, match=r"9 rows of 3 texts, .* a row for each text and label, with answers in rater_1, rater_2"
    ):
        read(path)
    frame = pd.read_csv(path)
    raters = ["rater_1", "rater_2", "rater_3"]
    frame["yes"], frame["share"] = frame[raters].sum(axis=1), frame[raters].mean(axis=1)
    for rule, column, test in (
        ("majority", "share", lambda x: x > 0.5), ("two", "yes", lambda x: x >= 2), ("share", "share", lambda x: x),
    ):  # fmt: skip
        expected = test(frame.pivot(index="text", columns="emotion", values=column)).loc[
            ["so glad", "so cross", "no idea"]
        ]
        rows = read(path, aggregate=rule).splits["all"]
        assert rows.texts == list(expected.index)
        np.testing.assert_allclose(rows.targets, expected.to_numpy(dtype=float), rtol=1e-6)
        assert rows.known.all()


def test_answers_beside_one_row_a_text_decide_whether_it_has_the_label(tmp_path):
    path = csv(tmp_path / "a.csv", "text,emotion,present", "a b,joy,1", "c d,joy,0", "e f,fear,yes", "g h,fear,")
    with pytest.raises(DataFormatError, match=r"in 1 of 4 rows no answer \(present\) says yes to the row's label"):
        read(path)
    corpus = read(path, aggregate="majority")
    rows = corpus.splits["all"]
    assert (corpus.labels, rows.texts) == (("fear", "joy"), ["a b", "c d", "e f"])
    assert rows.targets.tolist() == [[0, 1], [0, 0], [1, 0]]
    assert rows.known.tolist() == [[False, True], [False, True], [True, False]]
    assert corpus.refused["texts without an answer"] == 1
    all_yes = read(csv(tmp_path / "b.csv", "text,emotion,present", "a b,joy,1", "c d,fear,1"))
    assert all_yes.notes[0].endswith("; not used: present")


def test_answers_count_where_few_texts_have_rows_that_differ(tmp_path):
    rows = [f"text {n},joy,0,0,1" for n in range(5)] + ["text 0,fear,1,0,1"]
    path = csv(tmp_path / "a.csv", "text,emotion,rater_1,rater_2,rater_3", *rows)
    with pytest.raises(DataFormatError, match=r"in 1 of 2 rows no answer"):
        read(csv(tmp_path / "b.csv", "text,emotion,rater_1,rater_2", "a b,joy,0,0", "c d,fear,0,1"))
    assert len(read(path).splits["all"]) == 6
    corpus = read(path, aggregate="majority")
    assert support(corpus) == {"fear": 1, "joy": 0}
    assert corpus.splits["all"].known.tolist() == [[True, True], *[[False, True]] * 4]


def test_rows_that_prodigy_rejects_are_a_no_and_ignored_ones_left_out(tmp_path):
    path = csv(tmp_path / "a.csv", "text,label,answer", "a b,joy,accept", "c d,joy,reject", "e f,joy,ignore")
    with pytest.raises(DataFormatError, match=r"in 2 of 3 rows no answer \(answer\) says yes"):
        read(path)
    rows = read(path, aggregate="majority").splits["all"]
    assert (rows.texts, rows.targets.tolist()) == (["a b", "c d"], [[1], [0]])


def test_a_row_per_rater_is_refused_or_aggregated(tmp_path):
    votes = [f"text {n},{label},{rater}" for n in range(12) for rater, label in enumerate(["joy", "joy", "fear"])]
    path = csv(tmp_path / "a.csv", "text,label,rater_id", *votes)
    with pytest.raises(DataFormatError, match=r"36 rows of 12 texts, .* a row for each rating"):
        read(path)
    majority = read(path, aggregate="majority")
    assert support(majority) == {"fear": 0, "joy": 12}
    assert majority.refused == {"rows without a label": 0, "texts whose raters agree on no label": 0}
    shares = read(path, aggregate="share").splits["all"].targets
    np.testing.assert_allclose(shares, [[1 / 3, 2 / 3]] * 12, rtol=1e-6)


def test_raters_who_agree_on_nothing_leave_a_text_out(tmp_path):
    votes = [f"text {n},{label}" for n in range(12) for label in ("joy", "fear")]
    corpus = read(csv(tmp_path / "a.csv", "text,label", *votes, "sure,joy", "sure,joy"), aggregate="two")
    assert corpus.splits["all"].texts == ["sure"]
    assert corpus.refused["texts whose raters agree on no label"] == 12


def test_a_few_repeated_texts_are_no_table_of_ratings(tmp_path):
    lines = [f"text {n},{label}" for n in range(3) for label in ("joy", "fear")]
    assert len(read(csv(tmp_path / "a.csv", "text,label", *lines)).splits["all"]) == 6
