"""Small tables of every kind of label cell; the right values are recounted with pandas or by hand."""

import re

import numpy as np
import pandas as pd
import pytest

from shared.errors import DataFormatError
from tests.training.data.sources.label_tables import csv, jsonl, read, support

NAMES = ["joy", "anger", "sadness", "fear"]


@pytest.mark.parametrize(
    "cells", [["0.0", "1.0", "3.0"], [0.0, 1.0, 3.0], ["0", "1", "3"], [0, 1, 3], ["0.", "1.", "3"]]
)
def test_whole_numbers_are_ids_however_they_are_written(tmp_path, cells):
    corpus = read(jsonl(tmp_path / "a.jsonl", cells, "label"), labels=NAMES)
    assert support(corpus) == {"joy": 1, "anger": 1, "sadness": 0, "fear": 1}


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("{'joy', 'love'}", {"joy", "love"}),
        ("('joy', 'love')", {"joy", "love"}),
        ("('joy',)", {"joy"}),
        ("{'joy': 1, 'love': 0}", {"joy"}),
        ('{"joy": true, "love": false}', {"joy"}),
        ("frozenset({'love'})", {"love"}),
        ("['joy' 'love']", {"joy", "love"}),
        ("array(['joy', 'love'], dtype='<U4')", {"joy", "love"}),
        ("{joy,love}", {"joy", "love"}),
        ("[np.str_('joy'), np.str_('love')]", {"joy", "love"}),
        ({"joy": 1, "love": 0}, {"joy"}),
        (["joy", "love"], {"joy", "love"}),
    ],
)
def test_what_python_prints_for_labels(tmp_path, cell, labels):
    corpus = read(jsonl(tmp_path / "a.jsonl", [cell, ["joy"], ["love"]]))
    first = {corpus.labels[place] for place in np.flatnonzero(corpus.splits["all"].targets[0])}
    assert first == labels


def test_a_dict_with_zeros_says_nothing_about_the_labels_it_leaves_out(tmp_path):
    corpus = read(jsonl(tmp_path / "a.jsonl", [{"joy": 1, "love": 0}, {"love": 1}, {"joy": 1}]))
    assert corpus.labels == ("joy", "love")
    assert corpus.splits["all"].known.tolist() == [[True, True], [False, True], [True, False]]
    positives = read(jsonl(tmp_path / "b.jsonl", [{"joy": 1}, {"love": 1}]))
    assert positives.splits["all"].known.all()
    with pytest.raises(DataFormatError, match="the value 3.0; allowed: 0 and 1"):
        read(jsonl(tmp_path / "c.jsonl", [{"joy": 3}, {"love": 1}]))
    with pytest.raises(DataFormatError, match="the label 'joy' has the value 'much'; expected 0 or 1"):
        read(jsonl(tmp_path / "d.jsonl", [{"joy": "much"}]))


def test_a_null_in_a_dict_is_unknown_and_a_label_of_nulls_is_left_out(tmp_path):
    cells = [
        {"joy": 1, "love": 0, "trust": None},
        {"joy": None, "love": 1, "trust": None},
        {"joy": 0, "love": 0},
        {"joy": 0, "love": 0},
    ]
    corpus = read(jsonl(tmp_path / "a.jsonl", cells))
    assert corpus.labels == ("joy", "love")
    assert corpus.splits["all"].known.tolist() == [[True, True], [False, True], [True, True], [True, True]]
    assert corpus.splits["all"].targets.tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]
    notes = " ".join(corpus.notes)
    assert "3 values are null: those labels are unknown for their rows" in notes
    assert "labels that have no value in any row are left out: trust" in notes
    positives = read(jsonl(tmp_path / "b.jsonl", [{"joy": 1, "love": None}, {"love": 1}]))
    assert positives.splits["all"].known.tolist() == [[True, False], [True, True]]


def test_a_blank_cell_of_a_0_1_column_is_unknown(tmp_path):
    path = csv(tmp_path / "a.csv", "text,joy,anger", "a b,1,", "c d,,1", "e f,0,0", "g h,,")
    corpus = read(path)
    frame = pd.read_csv(path).dropna(how="all", subset=["joy", "anger"])
    rows = corpus.splits["all"]
    assert rows.texts == frame["text"].tolist()
    assert rows.known.tolist() == frame[["joy", "anger"]].notna().to_numpy().tolist()
    assert rows.targets.tolist() == frame[["joy", "anger"]].fillna(0).to_numpy().tolist()
    assert corpus.refused == {"rows without a label": 1}
    assert any("4 empty cells are unknown" in note for note in corpus.notes)
    said = read(path, blanks="negative").splits["all"]
    assert said.known.all()
    assert len(said) == 4


def test_ids_from_1_are_asked_about_and_taken_when_said(tmp_path):
    path = csv(tmp_path / "a.csv", "text,label", *(f"text {n},{n % 4 + 1}" for n in range(8)))
    with pytest.raises(DataFormatError, match=r"run from 1 to 4, and there are 4 labels: do they count from 1"):
        read(path, labels=NAMES)
    assert support(read(path, labels=NAMES, ids_start=1)) == dict.fromkeys(NAMES, 2)
    with pytest.raises(DataFormatError, match=r"label ids 4 are outside 0\.\.3"):
        read(path, labels=NAMES, ids_start=0)


def test_a_missing_id_0_is_told(tmp_path):
    corpus = read(csv(tmp_path / "a.csv", "text,label", "a b,1", "c d,2"), labels=NAMES)
    assert support(corpus) == {"joy": 0, "anger": 1, "sadness": 1, "fear": 0}
    assert any("no id 0 occurs" in note and "data.ids_start 1" in note for note in corpus.notes)


def test_minus_one_is_no_answer_where_ids_have_names(tmp_path):
    corpus = read(csv(tmp_path / "a.csv", "text,label", "a b,0", "c d,-1", "e f,3"), labels=NAMES)
    assert corpus.splits["all"].texts == ["a b", "e f"]
    assert any("1 rows have the id -1" in note for note in corpus.notes)


@pytest.mark.parametrize("values", [["1.0", "2.4", "5.0"], [3.11, 2.0, 4.5], ["0.25", "1", "0"], [1e-3, 1.0, 2.0]])
def test_a_score_is_said_to_be_one(tmp_path, values):
    path = jsonl(tmp_path / "a.jsonl", values, "V")
    with pytest.raises(DataFormatError, match=r"a score, not a class; regression is not offered"):
        read(path, label_column="V")


def test_decimal_commas_are_not_two_ids(tmp_path):
    path = csv(tmp_path / "a.csv", "text;label", "a b;2,5", "c d;3,75", "e f;1,25")
    with pytest.raises(DataFormatError, match="holds 2,5: a number with a decimal comma, or two ids"):
        read(path)
    assert support(read(path, delimiter=","))["5"] == 1


def test_many_whole_numbers_or_different_words_are_no_labels(tmp_path):
    with pytest.raises(DataFormatError, match=r"holds 101 different whole numbers \(0 to 100\) without names"):
        read(jsonl(tmp_path / "a.jsonl", list(range(101)), "label"))
    with pytest.raises(DataFormatError, match=r"has 60 different values in 60 rows .*: ids, dates or texts"):
        read(jsonl(tmp_path / "b.jsonl", [f"2021-01-{n}" for n in range(60)], "label"))


def test_spellings_in_other_case_are_one_label_with_a_note(tmp_path):
    corpus = read(csv(tmp_path / "a.csv", "text,label", "a b,Joy", "c d,joy", "e f,JOY", "g h,joy", "i j,fear"))
    assert support(corpus) == {"fear": 1, "joy": 4}
    assert any("JOY, Joy, joy are taken as one label, 'joy'" in note for note in corpus.notes)


@pytest.mark.parametrize("word", ["nan", "NaN", "none", "null", "N/A", "<NA>"])
def test_words_for_nothing_are_no_answer_and_told(tmp_path, word):
    corpus = read(csv(tmp_path / "a.csv", "text,label", "a b,joy", f"c d,{word}", "e f,fear"))
    assert corpus.labels == ("fear", "joy")
    assert corpus.refused == {"rows without a label": 1}
    assert any(f"1 cells hold the word '{word}', read as no answer" in note for note in corpus.notes)
    named = read(
        csv(tmp_path / "b.csv", "text,label", "a b,joy", "c d,none", "e f,fear"), labels=["joy", "fear", "none"]
    )
    assert support(named) == {"joy": 1, "fear": 1, "none": 1}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["joy/love", "joy", "love"], {"joy": 2, "love": 2}),
        (["joy love", "joy", "anger"], {"anger": 1, "joy": 2, "love": 1}),
        (["joy|love", "joy", "anger"], {"anger": 1, "joy": 2, "love": 1}),
        (["joy + love", "anger"], {"anger": 1, "joy": 1, "love": 1}),
        (["bug/crash", "bug", "crash"], {"bug": 2, "crash": 2}),
        (["anger#joy", "joy", "anger"], {"anger": 2, "joy": 2}),
        (["#joy #love", "#joy", "#love"], {"#joy": 2, "#love": 2}),
        (["bug\ncrash", "lag"], {"bug": 1, "crash": 1, "lag": 1}),
        (["bug\r\ncrash", "bug\rlag"], {"bug": 2, "crash": 1, "lag": 1}),
        (["bug\tcrash", "lag"], {"bug": 1, "crash": 1, "lag": 1}),
        (["bug,\ncrash", "lag"], {"bug": 1, "crash": 1, "lag": 1}),
        (["no\nemotion", "anger\njoy"], {"anger": 1, "joy": 1, "no emotion": 1}),
        (["joy love", "no emotion", "joy", "love"], {"joy": 2, "love": 2, "no emotion": 1}),
        (["no emotion", "joy", "anger"], {"anger": 1, "joy": 1, "no emotion": 1}),
        (["high five", "joy", "anger"], {"anger": 1, "high five": 1, "joy": 1}),
    ],
)
def test_labels_within_a_cell_are_told_apart_where_it_is_sure(tmp_path, cells, expected):
    corpus = read(jsonl(tmp_path / "a.jsonl", cells, "label"))
    assert support(corpus) == expected


@pytest.mark.parametrize(
    "cells",
    [["joy/ride", "joy"], ["mild anger", "anger"], ["rage#bliss", "joy"], ["a&b", "c"], ["big win", "big loss"]],
)
def test_labels_within_a_cell_are_asked_about_where_it_is_not(tmp_path, cells):
    path = jsonl(tmp_path / "a.jsonl", cells, "label")
    with pytest.raises(DataFormatError, match=f"'{cells[0]}' may be one label, or .* Say data.delimiter"):
        read(path)
    assert cells[0] in read(path, delimiter="none").labels


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["joy,love", "anger/fear"], "',' separates labels, and 'anger/fear' may be anger and fear"),
        (["bug/crash", "bug", "crash", "bug#crash"], "'/' separates labels, and 'bug#crash' may be bug and crash"),
        (["joy\nlove", "anger,fear"], "may be separated by any of: , a line break"),
    ],
)
def test_a_second_mark_between_labels_is_refused(tmp_path, cells, message):
    with pytest.raises(DataFormatError, match=message):
        read(jsonl(tmp_path / "a.jsonl", cells, "label"))


def test_names_beside_numbers_are_refused(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", ["joy", "2", "fear"], "label")
    with pytest.raises(DataFormatError, match=r"holds names \(fear, joy\) beside numbers \(2\)"):
        read(path)
    assert read(path, label_form="names").labels == ("2", "fear", "joy")


def test_a_label_named_twice_in_a_cell_counts_once_and_is_told(tmp_path):
    corpus = read(jsonl(tmp_path / "a.jsonl", [["joy", "joy", "fear"], ["fear"]]))
    assert support(corpus) == {"fear": 2, "joy": 1}
    assert any("1 cells name a label more than once" in note for note in corpus.notes)


FLAGGED = [
    "text,joy,anger,is_retweet,example_very_unclear,checked",
    "a b,1,0,1,0,1",
    "c d,0,1,0,1,1",
    "e f,0,0,0,0,1",
]


def test_flags_and_constants_are_no_labels_and_told(tmp_path):
    corpus = read(csv(tmp_path / "a.csv", *FLAGGED))
    assert corpus.labels == ("joy", "anger")
    assert any("not taken as labels: is_retweet, example_very_unclear, checked" in note for note in corpus.notes)
    own = read(csv(tmp_path / "b.csv", "text,billing,refund,is_vip", "a b,1,0,1", "c d,0,1,0"))
    assert own.labels == ("billing", "refund")
    constant = read(csv(tmp_path / "c.csv", "text,billing,refund,version", "a b,1,0,1", "c d,0,1,1"))
    assert constant.labels == ("billing", "refund")


def test_other_0_1_columns_beside_emotions_are_asked_about(tmp_path):
    path = csv(tmp_path / "a.csv", "text,joy,anger,urban", "a b,1,0,1", "c d,0,1,0")
    with pytest.raises(DataFormatError, match=r"emotions \(joy, anger\) and others that may be labels or not: urban"):
        read(path)
    assert read(path, label_column="joy,anger").labels == ("joy", "anger")
    assert read(path, wanted=["urban"]).labels == ("joy", "anger", "urban")


@pytest.mark.parametrize("stray", ["2", "O", "x", "?"])
def test_a_stray_cell_of_a_0_1_column_is_named(tmp_path, stray):
    lines = [f"text {n},{n % 2},{1 - n % 2},{stray if n == 7 else int(n % 3 == 0)},{n}" for n in range(9)]
    path = csv(tmp_path / "a.csv", "text,joy,anger,fear,age", *lines)
    for said in ({}, {"wanted": ["joy", "anger", "fear"]}):
        with pytest.raises(DataFormatError, match=rf"a.csv, column 'fear', row 8: '{re.escape(stray)}'; allowed: 0 or"):
            read(path, **said)
    corpus = read(path, label_column="joy,anger")
    assert corpus.labels == ("joy", "anger")
    assert corpus.notes[0].endswith("; not used: fear, age")


def test_other_columns_beside_0_1_columns_are_no_labels(tmp_path):
    header = "content,joy,anger,age,stars,trust,other"
    corpus = read(
        csv(tmp_path / "a.csv", header, "no,1,0,0,1,2.5,no", "so glad,0,1,31,5,3.5,see above", "a b,0,0,1,2,4,")
    )
    assert corpus.labels == ("joy", "anger")
    assert corpus.notes[0].endswith("; not used: age, stars, trust, other")


def test_counts_and_shares_of_all_labels_are_read_where_they_are_said_to_be(tmp_path):
    counts = csv(tmp_path / "a.csv", "text,joy,anger,grief,relief", "a b,3,0,0,0", "c d,0,2,1,0", "e f,1,0,0,1")
    with pytest.raises(DataFormatError, match=r"column 'joy', row 1: '3'; allowed: 0 or 1 .* read with data.positive_"):
        read(counts)
    assert support(read(counts, positive_from=1)) == {"joy": 2, "anger": 1, "grief": 1, "relief": 1}
    assert support(read(counts, positive_from=2)) == {"joy": 1, "anger": 1, "grief": 0, "relief": 0}
    shares = csv(tmp_path / "b.csv", "text,joy,anger,grief,relief", "a b,0.67,0.5,0,1", "c d,0.25,0.5,1,0")
    corpus = read(shares, soft_labels=True)
    assert corpus.labels == ("joy", "anger", "grief", "relief")
    np.testing.assert_allclose(corpus.splits["all"].targets, [[0.67, 0.5, 0, 1], [0.25, 0.5, 1, 0]], rtol=1e-6)
    alone = csv(tmp_path / "c.csv", "text,joy,anger", "a b,0.67,0.5", "c d,0.25,0.5")
    assert read(alone, soft_labels=True).labels == ("joy", "anger")
    with pytest.raises(DataFormatError, match=r"scores, counts or intensities.* data.soft_labels that they are shares"):
        read(alone)


def test_a_blank_column_of_a_label_is_one_where_blanks_are_a_no(tmp_path):
    path = csv(tmp_path / "a.csv", "text,joy,anger,fear,comment", "a b,1,,,", "c d,,1,,")
    corpus = read(path, blanks="negative")
    assert support(corpus) == {"joy": 1, "anger": 1, "fear": 0}
    assert corpus.splits["all"].known.all()
    assert read(path).labels == ("joy", "anger")


def test_flags_alone_are_no_labels(tmp_path):
    with pytest.raises(DataFormatError, match="no label column found"):
        read(csv(tmp_path / "a.csv", "text,is_reply,is_retweet", "a b,1,0", "c d,0,1"))


def test_intensities_in_emotion_columns_are_said_and_read_from_a_value_on(tmp_path):
    path = csv(tmp_path / "a.csv", "text,joy,anger", "a b,3,0", "c d,1,2")
    with pytest.raises(DataFormatError, match=r"joy, anger hold 0, 1, 2, 3: scores, counts or intensities"):
        read(path)
    assert support(read(path, label_column="joy,anger", positive_from=2)) == {"joy": 1, "anger": 1}


def test_the_names_beside_the_ids_are_the_labels(tmp_path):
    corpus = read(csv(tmp_path / "a.csv", "text,label,label_name", "a b,1,joy", "c d,0,anger", "e f,1,joy"))
    assert support(corpus) == {"anger": 1, "joy": 2}
    assert any("labels are read from 'label_name', which names the ids of 'label'" in note for note in corpus.notes)
    other = read(csv(tmp_path / "b.csv", "text,label,emotion", "a b,1,joy", "c d,0,anger"))
    assert other.labels == ("anger", "joy")
    with pytest.raises(DataFormatError, match="'label_text' does not name the ids of 'label' one to one"):
        read(csv(tmp_path / "c.csv", "text,label,label_text", "a b,1,joy", "c d,1,anger"))


def test_unused_columns_are_told(tmp_path):
    corpus = read(csv(tmp_path / "a.csv", "text,label,author,score", "a b,joy,ann,3", "c d,fear,bob,2"))
    assert corpus.notes[0].endswith("; not used: author, score")


def test_emotions_tell_the_label_column_where_its_name_does_not(tmp_path):
    corpus = read(csv(tmp_path / "a.csv", "text,mood_of_day,author", "a b,joy,ann", "c d,fear,bob"))
    assert support(corpus) == {"fear": 1, "joy": 1}
    assert any("column 'mood_of_day' is taken as the label" in note for note in corpus.notes)
