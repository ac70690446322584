import json

import pytest

from shared.errors import DataFormatError, DataNotFoundError, EmptyDataError
from training.config.data import SourceConfig
from training.data.sources.table import read_table_source


def read(path, **options):
    return read_table_source(SourceConfig("table", str(path), **options))


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def named(corpus, split="all"):
    return [{corpus.labels[c] for c in row.nonzero()[0]} for row in corpus.splits[split].targets]


def test_choice_of_columns_is_told(tmp_path):
    corpus = read(write(tmp_path / "a.csv", "id,sentence,emotions", "7,so glad,joy;love", "8,so sad,sadness"))
    assert corpus.notes == ("text column 'sentence', label column 'emotions' (names, labels separated by ';')",)
    assert corpus.splits["all"].ids == ["7", "8"]
    assert named(corpus) == [{"joy", "love"}, {"sadness"}]


def test_0_1_columns_are_labels_in_the_order_of_the_file(tmp_path):
    corpus = read(write(tmp_path / "a.tsv", "text\tjoy\tfear", "so glad\t1\t0", "so so\t0\t0", "glad and afraid\t1\t1"))
    assert corpus.labels == ("joy", "fear")
    assert named(corpus) == [{"joy"}, set(), {"joy", "fear"}]


def test_0_1_columns_may_hold_shares_when_asked_for(tmp_path):
    path = write(tmp_path / "a.csv", "text,joy,fear", "a b,0.25,1")
    corpus = read(path, label_column="joy,fear", soft_labels=True)
    assert corpus.splits["all"].targets.tolist() == [[0.25, 1.0]]
    with pytest.raises(
        DataFormatError, match=r"column 'joy', row 1: '0.25'; allowed: 0 or 1 \(data.soft_labels allows"
    ):
        read(path, label_column="joy,fear")


def test_rows_without_a_label_are_left_out_and_counted(tmp_path):
    corpus = read(write(tmp_path / "a.csv", "text,label", "a b,joy", "c d,", "e f,fear"))
    assert corpus.splits["all"].texts == ["a b", "e f"]
    assert corpus.splits["all"].ids == ["a:1", "a:3"]
    assert corpus.refused == {"rows without a label": 1}


def test_null_texts_are_handed_on_as_such(tmp_path):
    path = write(tmp_path / "a.jsonl", json.dumps({"text": None, "label": 0}), json.dumps({"text": "a b", "label": 1}))
    assert read(path).splits["all"].texts == [None, "a b"]


def test_ids_take_names_from_a_label_file_beside(tmp_path):
    write(tmp_path / "labels.txt", "bad", "good")
    corpus = read(write(tmp_path / "a.csv", "text,label", "a b,1", "c d,0"))
    assert named(corpus) == [{"good"}, {"bad"}]
    assert "named by labels.txt" in corpus.notes[0]


def test_ids_take_the_names_given(tmp_path):
    corpus = read(write(tmp_path / "a.csv", "text,label", "a b,1", "c d,0"), labels=["bad", "good"])
    assert named(corpus) == [{"good"}, {"bad"}]


def test_ids_without_names_are_numbers_in_order(tmp_path):
    corpus = read(write(tmp_path / "a.csv", "text,label", "a b,10", "c d,9"))
    assert corpus.labels == ("9", "10")
    assert corpus.numbered


def test_folder_holds_one_file_for_each_split(tmp_path):
    write(tmp_path / "train.csv", "text,label", "a b,joy")
    write(tmp_path / "validation.csv", "text,label", "c d,fear")
    write(tmp_path / "notes.csv", "anything")
    corpus = read(tmp_path)
    assert {name: split.texts for name, split in corpus.splits.items()} == {"train": ["a b"], "dev": ["c d"]}
    assert corpus.labels == ("fear", "joy")
    assert corpus.missing["test"].startswith("no test file in")


def test_file_named_after_a_split_is_that_split(tmp_path):
    assert set(read(write(tmp_path / "test.csv", "text,label", "a b,joy")).splits) == {"test"}


def test_lone_file_in_a_folder_is_the_corpus(tmp_path):
    write(tmp_path / "rows.csv", "text,label", "a b,joy")
    assert set(read(tmp_path).splits) == {"all"}


def test_several_files_for_a_split_are_an_error(tmp_path):
    write(tmp_path / "train.csv", "text,label", "a b,joy")
    write(tmp_path / "train.jsonl", "{}")
    with pytest.raises(
        DataFormatError, match=r"several files for 'train': train.csv, train.jsonl. Give data.path one file"
    ):
        read(tmp_path)


def test_split_with_other_columns_is_an_error(tmp_path):
    write(tmp_path / "train.csv", "text,label", "a b,joy")
    write(tmp_path / "test.csv", "text,emotion", "a b,joy")
    with pytest.raises(DataFormatError, match=r"test.csv lacks the columns label; it has text, emotion"):
        read(tmp_path)


def test_header_alone_is_an_error(tmp_path):
    with pytest.raises(EmptyDataError, match=r"a.csv has a header and no rows"):
        read(write(tmp_path / "a.csv", "text,label"), text_column="text")


def test_missing_table_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"the table not found: looked for .*nowhere.csv"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(DataNotFoundError, match=r"no table in .*: looked for files that end in .csv, .tsv"):
        read(tmp_path)
    with pytest.raises(DataNotFoundError, match=r"data.source=table needs data.path. Give a CSV"):
        read_table_source(SourceConfig("table"))
