"""The splits of tables: by the names of files, or by a column; the right rows are counted by hand."""

import pytest

from shared.errors import DataFormatError
from tests.training.data.sources.label_tables import csv, read


def test_a_split_column_gives_the_official_splits(tmp_path):
    lines = [
        f"text {n},{'joy' if n % 2 else 'fear'},{word}" for n, word in enumerate(["train", "Test", "valid", "train"])
    ]
    path = csv(tmp_path / "a.csv", "text,emotion,split", *lines)
    corpus = read(path)
    assert {name: split.texts for name, split in corpus.splits.items()} == {
        "train": ["text 0", "text 3"], "dev": ["text 2"], "test": ["text 1"],
    }  # fmt: skip
    assert set(read(path, split_column="none").splits) == {"all"}
    odd = csv(tmp_path / "b.csv", "text,emotion,split", "a b,joy,1", "c d,fear,2")
    with pytest.raises(DataFormatError, match=r"column 'split' holds 1, 2; expected train, dev and test"):
        read(odd)


def split_rows(*words):
    return ["text,emotion,split", *(f"text {n},{'joy' if n % 2 else 'fear'},{word}" for n, word in enumerate(words))]


@pytest.mark.parametrize("name", ["training_data.csv", "emotions_test.csv", "dev.csv"])
@pytest.mark.parametrize("said", [{}, {"split_column": "split"}])
def test_a_split_column_goes_before_the_name_of_the_only_file(tmp_path, name, said):
    path = csv(tmp_path / name, *split_rows("train", "test", "dev", "train"))
    corpus = read(path, **said)
    assert {split: rows.texts for split, rows in corpus.splits.items()} == {
        "train": ["text 0", "text 3"], "dev": ["text 2"], "test": ["text 1"],
    }  # fmt: skip
    assert f"the column 'split' says the splits, and not the name of {name}" in corpus.notes
    assert not any("by a word of its name" in note for note in corpus.notes)
    assert len(read(path, split_column="none").splits) == 1


def test_a_column_of_other_words_leaves_the_file_its_name_with_a_note(tmp_path):
    path = csv(tmp_path / "test.csv", "text,emotion,set", "a b,joy,A", "c d,fear,train")
    corpus = read(path)
    assert list(corpus.splits) == ["test"]
    assert any("not by its column 'set', which says otherwise in 2 of 2 rows" in note for note in corpus.notes)
    with pytest.raises(DataFormatError, match=r"column 'set' holds A; expected train, dev and test"):
        read(path, split_column="set")


def test_a_split_column_may_not_contradict_several_files(tmp_path):
    csv(tmp_path / "train.csv", *split_rows("train", "test", "train"))
    csv(tmp_path / "test.csv", *split_rows("test", "test"))
    corpus = read(tmp_path)
    assert {split: len(rows) for split, rows in corpus.splits.items()} == {"train": 3, "test": 2}
    assert any("which says otherwise in 1 of 3 rows" in note for note in corpus.notes)
    with pytest.raises(
        DataFormatError,
        match=r"train.csv is the train split by its name, and its column 'split' says otherwise in 1 of",
    ):
        read(tmp_path, split_column="split")
    csv(tmp_path / "train.csv", *split_rows("train", "train"))
    assert {split: len(rows) for split, rows in read(tmp_path, split_column="split").splits.items()} == {
        "train": 2, "test": 2,
    }  # fmt: skip


def test_a_test_file_without_labels_is_a_missing_split(tmp_path):
    csv(tmp_path / "train.csv", "id,text,label", "1,a b,joy", "2,c d,fear")
    csv(tmp_path / "test.csv", "id,text", "3,e f")
    corpus = read(tmp_path)
    assert set(corpus.splits) == {"train"}
    assert corpus.missing["test"] == "test.csv has no labels (no column label)"


def test_a_split_whose_labels_are_blank_is_missing_for_that(tmp_path):
    csv(tmp_path / "train.csv", "text,joy,anger", "a b,1,0", "c d,0,1")
    csv(tmp_path / "test.csv", "text,joy,anger", "e f,,")
    corpus = read(tmp_path)
    assert set(corpus.splits) == {"train"}
    assert corpus.missing["test"] == "test.csv has no row with a label"
    assert corpus.missing["dev"].startswith("no dev file in")
    by_column = read(csv(tmp_path / "a.csv", *split_rows("train", "test")))
    assert by_column.missing == {"dev": "no labelled row of a.csv is in dev"}
