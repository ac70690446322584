import csv

import numpy as np
import pytest

from shared.errors import DataFormatError
from shared.labels import GOEMOTIONS
from training.config.data import DataConfig, SourceConfig
from training.data.load import load_data
from training.data.sources.goemotions import read_goemotions

HEADER = [
    "text",
    "id",
    "author",
    "subreddit",
    "link_id",
    "parent_id",
    "created_utc",
    "rater_id",
    "example_very_unclear",
]


def rating(comment, labels, *, text="some, text", time=1.5e9, rater=1):
    unclear = "False" if labels else "True"
    given = [int(name in labels) for name in GOEMOTIONS]
    return [text, comment, "author", "sub", "t3_x", "t1_y", time, rater, unclear, *given]


def write(path, rows):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([[*HEADER, *GOEMOTIONS], *rows])


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "goemotions_1.csv", [
        rating("c1", ["joy", "love"]), rating("c2", ["anger"]), rating("c1", ["joy"]), rating("c3", []),
    ])  # fmt: skip
    write(tmp_path / "goemotions_2.csv", [rating("c2", ["fear"]), rating("c1", []), rating("c3", [])])
    return tmp_path


def named(split):
    return {
        name: {GOEMOTIONS[c]: round(float(row[c]), 4) for c in np.flatnonzero(row)}
        for name, row in zip(split.ids, split.targets, strict=True)
    }


def test_a_label_stands_when_two_raters_gave_it(folder):
    corpus = read_goemotions(SourceConfig("goemotions", str(folder)))
    assert named(corpus.splits["all"]) == {"c1": {"joy": 1.0}}
    assert corpus.refused == {"comments without a label": 2}
    assert corpus.notes == ("7 ratings of 3 comments; targets are labels of 2 raters or more",)


def test_soft_labels_are_shares_of_the_raters_of_a_comment(folder):
    corpus = read_goemotions(SourceConfig("goemotions", str(folder), soft_labels=True))
    expected = {"c1": {"joy": 0.6667, "love": 0.3333}, "c2": {"anger": 0.5, "fear": 0.5}}
    assert named(corpus.splits["all"]) == expected


def test_one_file_alone_is_read_too(folder):
    corpus = read_goemotions(SourceConfig("goemotions", str(folder / "goemotions_1.csv")))
    assert named(corpus.splits["all"]) == {"c1": {"joy": 1.0}}


def many(folder):
    rows = [
        rating(f"c{i}", [GOEMOTIONS[i % 4]], text=f"comment {i}", time=1.5e9 + (i * 37) % 100, rater=rater)
        for i in range(100) for rater in range(3)
    ]  # fmt: skip
    write(folder / "goemotions_1.csv", rows)


def test_comments_not_ratings_are_split(tmp_path):
    many(tmp_path)
    splits = load_data(DataConfig(source="goemotions", path=str(tmp_path)))
    assert splits.test is not None
    assert [len(split) for split in (splits.train, splits.dev, splits.test)] == [80, 10, 10]
    assert len({*splits.train.ids, *splits.dev.ids, *splits.test.ids}) == 100


def test_temporal_split_tests_on_the_newest(tmp_path):
    many(tmp_path)
    splits = load_data(DataConfig(source="goemotions", path=str(tmp_path), temporal_split=True))
    assert splits.test is not None
    newest = {f"c{i}" for i in range(100) if (i * 37) % 100 >= 90}
    assert set(splits.test.ids) == newest
    assert {(int(name[1:]) * 37) % 100 // 10 for name in splits.dev.ids} == {8}


def test_missing_column_is_named(tmp_path):
    (tmp_path / "goemotions_1.csv").write_text("text,id,joy\na,b,1\n")
    with pytest.raises(DataFormatError, match=r"goemotions_1.csv lacks the columns admiration, amusement"):
        read_goemotions(SourceConfig("goemotions", str(tmp_path)))


def test_the_time_of_writing_is_needed_for_a_split_by_time_alone(tmp_path):
    header = ["text", "id", *GOEMOTIONS]
    row = ["so glad", "c1", *(int(name == "joy") for name in GOEMOTIONS)]
    with (tmp_path / "goemotions_1.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([header, row, row])
    assert read_goemotions(SourceConfig("goemotions", str(tmp_path))).splits["all"].texts == ["so glad"]
    with pytest.raises(DataFormatError, match="lacks the columns created_utc"):
        read_goemotions(SourceConfig("goemotions", str(tmp_path), temporal_split=True))


def test_cell_that_is_no_number_is_named_by_line(tmp_path):
    row = rating("c1", ["joy"])
    write(tmp_path / "goemotions_1.csv", [row, [*row[:-1], "yes"]])
    with pytest.raises(DataFormatError, match=r"goemotions_1.csv, line 3: not a row of ratings"):
        read_goemotions(SourceConfig("goemotions", str(tmp_path)))
