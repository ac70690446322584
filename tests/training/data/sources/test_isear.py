from dataclasses import replace

import pytest

from shared.errors import DataFormatError, DataNotFoundError
from training.config.data import DataConfig, SourceConfig
from training.data.load import load_data
from training.data.sources import READERS, read_source
from training.data.sources.isear import read_isear
from training.data.sources.kept import sources_kept

NAMES = [f"N{i}" for i in range(36)] + ["Field1", "Field3", "Field2", "MYKEY", "SIT", "STATE"]


def line(label, text):
    values = dict.fromkeys(NAMES, "1") | {"Field1": label, "SIT": text}
    return "|".join(values[name] for name in NAMES) + "|"


def write(path, rows):
    path.write_text(
        "|".join(NAMES) + "|\n" + "".join(line(label, text) + "\n" for label, text in rows), encoding="utf-8"
    )
    return path


def read(path):
    return read_isear(SourceConfig("isear", str(path)))


def test_a_corpus_in_a_format_of_its_own_is_read_once_where_sources_are_kept(tmp_path, monkeypatch):
    path, link = write(tmp_path / "isear.csv", [("joy", "a b")]), tmp_path / "renamed.csv"
    link.symlink_to(path)
    opened = []
    monkeypatch.setitem(READERS, "isear", lambda source: opened.append(source.path) or read_isear(source))
    here, there = SourceConfig("isear", str(path)), SourceConfig("isear", str(link))
    with sources_kept():
        assert read_source(here) == read_source(replace(here, rename="joy=gladness", labels=["joy"], weight=2.0))
        assert opened == [str(path)]
        assert read_source(there).origin == str(link)  # its rows are named after it
        read_source(replace(here, language="en"))
        assert opened == [str(path), str(link), str(path)]
    read_source(here)
    assert len(opened) == 4


def test_separators_inside_the_text_stay_in_it(tmp_path):
    corpus = read(write(tmp_path / "isear.csv", [("joy", "He said | she said | done"), ("fear", 'a "quote')]))
    assert corpus.splits["all"].texts == ["He said | she said | done", 'a "quote']


def test_mark_of_a_line_break_becomes_a_space(tmp_path):
    corpus = read(write(tmp_path / "isear.csv", [("joy", "When I á met á her")]))
    assert corpus.splits["all"].texts == ["When I met her"]


def test_shame_is_embarrassment_and_guilt_remorse(tmp_path):
    corpus = read(write(tmp_path / "isear.csv", [("shame", "a b"), ("guilt", "c d"), ("anger", "e f")]))
    names = [corpus.labels[row.argmax()] for row in corpus.splits["all"].targets]
    assert names == ["embarrassment", "remorse", "anger"]
    assert corpus.splits["all"].targets.sum(axis=1).tolist() == [1, 1, 1]


@pytest.mark.parametrize("text", ["[ No response.]", "NO RESPONSE", "[No response: never felt it.]", " no  response. "])
def test_no_response_in_any_form_is_refused_and_counted(tmp_path, text):
    corpus = read(write(tmp_path / "isear.csv", [("joy", text), ("joy", "No response came from the hospital.")]))
    assert corpus.splits["all"].texts == ["No response came from the hospital."]
    assert corpus.refused == {"texts that say 'No response'": 1}


def test_twenty_one_labels_are_unknown(tmp_path):
    emotions = ["joy", "fear", "anger", "sadness", "disgust", "shame", "guilt"]
    write(tmp_path / "isear.csv", [(emotions[i % 7], f"situation {i}") for i in range(140)])
    splits = load_data(DataConfig(source="isear", path=str(tmp_path)))
    assert splits.train.known.sum(axis=1).tolist() == [7] * len(splits.train)
    assert len(splits.train) == 112


def test_unknown_emotion_is_named(tmp_path):
    with pytest.raises(DataFormatError, match=r"isear.csv, line 2: unknown emotion 'pride'. Allowed: joy, fear"):
        read(write(tmp_path / "isear.csv", [("pride", "a")]))


def test_broken_line_is_named(tmp_path):
    path = write(tmp_path / "isear.csv", [("joy", "a")])
    path.write_text(path.read_text() + "1|2|3\n")
    with pytest.raises(DataFormatError, match=r"line 3: 2 separators '\|', expected at least 42"):
        read(path)


def test_other_columns_are_refused(tmp_path):
    path = tmp_path / "isear.csv"
    path.write_text("emotion,text\njoy,a\n")
    with pytest.raises(
        DataFormatError, match=r"has 0 columns; expected 42 separated by '\|', Field1 among them and SIT as number 41"
    ):
        read(path)


def test_missing_file_says_how_to_get_it(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"ISEAR not found: looked for .*isear.csv. Get isear.csv"):
        read(tmp_path)
    with pytest.raises(DataNotFoundError, match="data.source=isear needs data.path"):
        read_isear(SourceConfig("isear"))
