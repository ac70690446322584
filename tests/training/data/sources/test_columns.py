from dataclasses import replace

import pytest

from shared.errors import DataFormatError
from training.config.data import SourceConfig
from training.data.sources.columns import find_columns


def find(columns, **named):
    return find_columns("x.csv", columns, SourceConfig("table", "x.csv", **named))


TEXTS = ["so very glad", "not at all well"]


@pytest.mark.parametrize("text", ["text", "Sentence", "content", "utterance", "tweet"])
@pytest.mark.parametrize("label", ["label", "Labels", "emotion", "emotions", "sentiment"])
def test_usual_names_are_found(text, label):
    found = find({"id": ["1", "2"], text: TEXTS, label: ["joy", "fear"]})
    assert (found.text, found.labels, found.one_hot, found.id) == (text, (label,), False, "id")


def test_first_tier_of_names_goes_before_the_second():
    found = find({"comment": TEXTS, "text": TEXTS, "Emotion": ["joy", "fear"], "Sentiment": ["good", "bad"]})
    assert (found.text, found.labels) == ("text", ("Emotion",))


def test_one_0_1_column_per_label_is_found():
    found = find({"text": TEXTS, "id": ["0", "1"], "joy": ["0", "1"], "fear": [1, 0], "score": ["0.4", "1"]})
    assert (found.labels, found.one_hot) == (("joy", "fear"), True)


def test_one_0_1_column_alone_is_a_label_where_the_model_has_it():
    columns, source = {"text": TEXTS, "Joy": ["0", "1"]}, SourceConfig("table", "x.csv")
    found = find_columns("x.csv", columns, source, ("joy", "fear"))
    assert (found.labels, found.one_hot) == (("Joy",), True)
    assert find_columns("x.csv", columns, replace(source, label_column="Joy"), ("joy",)).one_hot
    with pytest.raises(DataFormatError, match=r"has one 0/1 column of a label, Joy; allowed: a column of names"):
        find(columns)


def test_the_only_prose_is_the_text():
    assert find({"author": ["ann", "bob"], "what": TEXTS, "label": ["joy", "fear"]}).text == "what"


def test_columns_may_be_named_by_hand():
    columns = {"text": TEXTS, "body": TEXTS, "a": ["0", "1"], "b": ["1", "1"], "label": ["x", "y"]}
    found = find(columns, text_column="body", label_column="a, b")
    assert (found.text, found.labels, found.one_hot) == ("body", ("a", "b"), True)
    assert find(columns, text_column="body", label_column="a").one_hot is False


def test_a_column_whose_name_holds_a_comma_may_be_named():
    assert find({"text": TEXTS, "a,b": ["x", "y"]}, label_column="a,b").labels == ("a,b",)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"text": TEXTS, "sentence": TEXTS, "label": ["a", "b"]},
            r"may be the text: text, sentence. Name .* data.text_column",
        ),
        ({"one": TEXTS, "two": TEXTS, "label": ["a", "b"]}, r"may be the text: one, two\."),
        (
            {"text": TEXTS, "label": ["a", "b"], "emotion": ["a", "b"]},
            r"may be the label: label, emotion. Name .* data.label_column",
        ),
        (
            {"text": TEXTS, "label": ["a", "b"], "joy": ["0", "1"], "fear": ["0", "1"]},
            r"may be the label: label, joy, fear\.",
        ),
        ({"text": TEXTS, "mood": ["a", "b"]}, r"no label column found in x.csv: none of its columns \(text, mood\)"),
        ({"word": ["a", "b"], "label": ["a", "b"]}, r"no text column found in x.csv; its columns are word, label"),
    ],
)
def test_ambiguity_is_an_error_that_lists_the_candidates(columns, message):
    with pytest.raises(DataFormatError, match=message):
        find(columns)


@pytest.mark.parametrize("named", [{"text_column": "nope"}, {"label_column": "nope"}, {"label_column": "text,nope"}])
def test_named_column_that_is_not_there_is_an_error(named):
    with pytest.raises(DataFormatError, match=r"x.csv has no column 'nope'; it has text, label\."):
        find({"text": TEXTS, "label": ["a", "b"]}, **named)
