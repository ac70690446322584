"""Folds: disjoint by text, complete, stratified, and without leaks into test."""

import json
from dataclasses import replace

import numpy as np
import pytest

from shared.errors import ConfigError, EmptyDataError
from training.config.data import DataConfig
from training.data.load import load_data, load_eval_split


@pytest.fixture
def config(tmp_path):
    labels = [["joy"], ["fear"], ["anger"], ["joy", "fear"]]
    rows = [{"text": f"row {i} of the table", "labels": labels[i % 4]} for i in range(120)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return DataConfig(source="table", path=str(path), folds=4)


def test_every_row_is_held_out_once_and_test_stays(config):
    whole = load_data(replace(config, folds=None))
    splits = [load_data(replace(config, fold=fold)) for fold in range(1, 5)]
    held = [text for split in splits for text in split.dev.texts]
    assert sorted(held) == sorted([*whole.train.texts, *whole.dev.texts])
    for split in splits:
        assert not set(split.train.texts) & set(split.dev.texts)
        assert len(split.train) + len(split.dev) == len(held)
        assert split.test.texts == whole.test.texts


def test_every_fold_has_the_share_of_every_label(config):
    splits = [load_data(replace(config, fold=fold)) for fold in range(1, 5)]
    support = np.array([split.dev.targets.sum(axis=0) for split in splits])
    assert np.ptp(support, axis=0).max() <= 2


def test_evaluation_finds_the_same_fold(config):
    splits = load_data(replace(config, fold=2))
    assert load_eval_split(replace(config, fold=2), "dev", splits.labels).rows.texts == splits.dev.texts


def test_a_text_of_an_official_dev_split_is_in_one_fold_and_never_in_train_when_test_has_it(tmp_path):
    for name, texts in {"train": "abcdef", "dev": "gghx", "test": "xy"}.items():
        (tmp_path / f"{name}.tsv").write_text("".join(f"text {t}\t{i % 3}\t{name}{i}\n" for i, t in enumerate(texts)))
    config = DataConfig(source="goemotions", path=str(tmp_path), folds=2)
    splits = [load_data(replace(config, fold=fold)) for fold in (1, 2)]
    held = sorted(text for split in splits for text in split.dev.texts)
    assert held == sorted(f"text {letter}" for letter in "abcdefghx")
    assert all("text x" not in split.train.texts for split in splits)


@pytest.mark.parametrize(("folds", "fold"), [(1, 1), (3, 4)])
def test_folds_that_are_not_there_are_refused(config, folds, fold):
    with pytest.raises(ConfigError, match=f"data.folds is {folds} and data.fold {fold}"):
        load_data(replace(config, folds=folds, fold=fold))


def test_more_folds_than_rows_are_refused(config):
    with pytest.raises(EmptyDataError, match="rows are too few for 500 folds"):
        load_data(replace(config, folds=500))
