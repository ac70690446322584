"""Figures of the official GoEmotions files; set EMOTION_GOEMOTIONS_DIR to their folder."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.text import normalise
from training.config.data import DataConfig, SamplingConfig, SourceConfig
from training.data.batching import plan_rows
from training.data.corpus import Corpus
from training.data.load import load_data
from training.data.sources import read_source

FOLDER = os.environ.get("EMOTION_GOEMOTIONS_DIR", "")
pytestmark = pytest.mark.skipif(
    not (Path(FOLDER) / "train.tsv").is_file(),
    reason="EMOTION_GOEMOTIONS_DIR names no folder with train.tsv and dev.tsv",
)


@pytest.fixture(scope="module")
def config():
    return DataConfig(source="goemotions", path=FOLDER, test_fraction=0.0)


@pytest.fixture(scope="module")
def raw():
    return read_source(SourceConfig("goemotions", FOLDER))


def test_rows_and_support_are_the_published_ones(raw):
    train, dev = raw.splits["train"], raw.splits["dev"]
    assert (len(train), len(dev)) == (43_410, 5_426)
    support = dict(zip(raw.labels, train.targets.sum(axis=0).astype(int), strict=True))
    found = [support[name] for name in ("neutral", "grief", "pride", "relief", "nervousness")]
    assert found == [14_219, 77, 111, 153, 164]
    assert round(float(train.targets.sum(axis=1).mean()), 2) == 1.18
    assert set(train.targets.sum(axis=1)) == {1, 2, 3, 4, 5}


def test_duplicates_and_leaks_are_removed_from_train_alone(config):
    splits = load_data(config)
    train = splits.report.counts[0]
    assert train.duplicates == 184  # 183 to the letter, one more after normalisation
    assert train.leaked["dev"] == 41
    if splits.test is None:
        assert len(splits.train) == 43_185
    assert len(splits.dev) == 5_426
    held = {normalise(text) for text in splits.dev.texts}
    assert not held & {normalise(text) for text in splits.train.texts}


def test_oversampling_gives_the_published_numbers(raw):
    train = raw.splits["train"]
    ones = np.ones(len(train), np.float32)
    rows = Corpus(train.texts, train.targets, train.targets >= 0, train.ids, ["goemotions"] * len(train), ones)
    plan = plan_rows(rows, SamplingConfig(oversample_below=1326, oversample_factor=1.5))
    assert plan.size == 47_786
    sizes = {77: 115, 111: 166, 153: 229, 164: 246}
    seen = {len(rare): len(rare) + int(len(rare) * 0.5) for rare in plan.rare if len(rare) in sizes}
    assert seen == sizes


def test_subset_keeps_the_shares_of_rare_labels(config):
    whole, part = load_data(config), load_data(replace(config, max_train_rows=20_000))
    assert len(part.train) == 20_000
    share = 20_000 / len(whole.train)
    expected = whole.train.hard_targets.sum(axis=0) * share
    assert (np.abs(part.train.hard_targets.sum(axis=0) - expected) <= 2 + 0.001 * expected).all()
