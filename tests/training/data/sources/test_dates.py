"""Dates and groups of a table come with its rows, through folds, splits in time and evaluation."""

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from shared.errors import ConfigError, DataFormatError, EmptyDataError
from training.config.data import DataConfig
from training.data.load import load_data
from training.data.sources.dates import read_dates
from training.data.split import stratified_groups


def test_dates_are_read_in_every_form_that_is_allowed():
    expected = datetime(2024, 5, 31, tzinfo=UTC).timestamp()
    cells = ["2024-05-31", "20240531", "2024-05-31T02:00:00+02:00", date(2024, 5, 31), datetime(2024, 5, 31), expected,
             str(int(expected))]  # fmt: skip
    assert read_dates(cells, "t").tolist() == [expected] * len(cells)


@pytest.mark.parametrize("cell", ["31.05.2024", "", None, "99999999999999"])
def test_what_is_no_date_is_refused_with_its_row(cell):
    with pytest.raises(DataFormatError, match=r"t.csv, column 'when', row 2: .* is no date; allowed: 2024-05-31"):
        read_dates(["2024-05-31", cell], "t.csv, column 'when'")


@pytest.fixture
def table(tmp_path):
    random = np.random.default_rng(0)
    rows = [
        {"text": f"text {i} of a kind", "labels": ["joy", "fear"][random.integers(2)],
         "when": f"2024-{1 + i // 20:02d}-01", "user": f"u{i % 40}"}
        for i in range(240)
    ]  # fmt: skip
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_split_in_time_puts_the_newest_rows_into_test(table):
    config = DataConfig(source="table", path=str(table), date_column="when", temporal_split=True)
    splits = load_data(config)
    assert splits.train.created_s.max() <= splits.dev.created_s.min()
    assert splits.dev.created_s.max() <= splits.test.created_s.min()
    with pytest.raises(DataFormatError, match="temporal_split is true, and .* has no time for its rows"):
        load_data(DataConfig(source="table", path=str(table), temporal_split=True))
    with pytest.raises(DataFormatError, match="has no column 'wen', which data.date_column names; it has text"):
        load_data(DataConfig(source="table", path=str(table), date_column="wen"))


def test_a_split_in_time_beside_official_splits_or_folds_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    rows = [f"text {i},{['joy', 'fear'][i % 2]},{['train', 'test'][i % 2]},{2000 + i}-01-01" for i in range(40)]
    path.write_text("\n".join(["text,label,split,when", *rows]))
    config = DataConfig(source="table", path=str(path), date_column="when", temporal_split=True)
    with pytest.raises(
        DataFormatError, match=r"temporal_split is true, and .*t\.csv has official splits \(train, test\)"
    ):
        load_data(config)
    whole = replace(config, split_column="none")
    assert list(load_data(whole).test.texts) == ["text 36", "text 37", "text 38", "text 39"]
    with pytest.raises(ConfigError, match=r"temporal_split is true, and folds \(data.folds, .*\) are drawn at random"):
        load_data(replace(whole, folds=2))


def test_no_writer_is_in_two_own_splits(table):
    config = DataConfig(source="table", path=str(table), group_column="user", dev_fraction=0.2, test_fraction=0.2)
    splits = load_data(config)
    writers = [set(part.groups) for part in (splits.train, splits.dev, splits.test)]
    assert len(set.union(*writers)) == sum(map(len, writers)) == 40
    assert (
        "table: each of 40 groups (data.group_column) is in one of the splits that are cut here" in splits.report.notes
    )
    assert all(24 <= len(part) <= 72 for part in (splits.dev, splits.test))  # four to twelve writers of 40
    with pytest.raises(DataFormatError, match=r"temporal_split would cut the groups of .* \(data.group_column, or"):
        load_data(DataConfig(source="table", path=str(table), group_column="user", date_column="when",
                             temporal_split=True))  # fmt: skip


def test_a_single_writer_cannot_be_held_out(table):
    table.write_text(re.sub(r'"u\d+"', '"me"', table.read_text()))
    with pytest.raises(EmptyDataError, match="has 240 usable rows in groups that are kept whole: too few to hold out"):
        load_data(DataConfig(source="table", path=str(table), group_column="user"))


def test_writers_in_two_official_splits_are_said(tmp_path):
    rows = [("train", "a"), ("train", "b"), ("train", ""), ("dev", "b"), ("dev", ""), ("test", "a"), ("test", "b")]
    path = tmp_path / "t.csv"
    path.write_text("text,labels,split,user\n" + "".join(
        f"text {number},{('joy', 'fear')[number % 2]},{split},{user}\n" for number, (split, user) in enumerate(rows)
    ))  # fmt: skip
    notes = load_data(DataConfig(source="table", path=str(path), group_column="user")).report.notes
    assert [note for note in notes if "group_column" in note] == [
        f"table: {count} groups (data.group_column) are in train and in {split}; unseen ones may be harder"
        for count, split in ((1, "dev"), (2, "test"))
    ]


def test_no_writer_is_in_two_folds(table):
    for fold in (1, 2, 3):
        config = DataConfig(source="table", path=str(table), group_column="user", folds=3, fold=fold)
        splits = load_data(config)
        assert not set(splits.train.groups) & set(splits.dev.groups)
        assert 0.2 < len(splits.dev) / (len(splits.dev) + len(splits.train)) < 0.5


def test_folds_of_groups_hold_every_row_once_and_keep_the_labels():
    random = np.random.default_rng(0)
    targets = (random.random((900, 3)) < [0.5, 0.2, 0.05]).astype(np.float32)
    groups = [f"g{n}" for n in random.integers(0, 150, 900)]
    folds = stratified_groups(targets, groups, [1 / 5] * 5, seed=1)
    assert sorted(row for fold in folds for row in fold) == list(range(900))
    held = [{groups[row] for row in fold} for fold in folds]
    assert sum(map(len, held)) == len(set(groups))
    assert all(abs(targets[fold].mean() - targets.mean()) < 0.05 for fold in folds)
