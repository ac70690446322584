"""Augmentation of a corpus: rare labels of train alone, repeatable, and off by default."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.config import AugmentConfig
from training.config.data import DataConfig
from training.data.augment.rows import augment_train
from training.data.corpus import Splits
from training.data.keys import text_key
from training.data.load import load_data

ALL = AugmentConfig(methods=["synonyms", "expansion", "paraphrase"], below=60, copies=2)


@pytest.fixture(scope="module")
def splits() -> Splits:
    """The embedded corpus with a few labels made rare."""
    data = load_data(DataConfig(max_train_rows=1500))
    known = data.train.known.copy()
    known[::7, :3] = False
    return replace(data, train=replace(data.train, known=known))


def test_off_by_default(splits):
    assert augment_train(splits, AugmentConfig(), seed=1).corpus is splits.train
    assert augment_train(splits, AugmentConfig(), seed=1).lines() == []


def test_without_rare_labels_nothing_is_done_and_said(splits):
    result = augment_train(splits, replace(ALL, below=2), seed=1)
    assert result.corpus is splits.train
    assert result.lines() == ["augmentation: nothing to do, no label has fewer than 2 training rows"]


def test_the_rows_there_were_stay_and_new_ones_copy_labels_mask_and_weight(splits):
    train, new = splits.train, augment_train(splits, ALL, seed=1).corpus
    assert len(new) > len(train)
    assert new.take(range(len(train))).fingerprint == train.fingerprint
    row_of = {name: row for row, name in enumerate(train.ids)}
    for row in range(len(train), len(new)):
        source = row_of[new.ids[row].split("~")[0]]
        assert new.texts[row] != train.texts[source]
        assert np.array_equal(new.targets[row], train.targets[source])
        assert np.array_equal(new.known[row], train.known[source])
        assert new.source[row] == train.source[source]
        assert new.weights[row] == train.weights[source]


def test_every_new_row_has_a_rare_label_and_no_row_has_more_copies_than_asked_for(splits):
    result = augment_train(splits, ALL, seed=1)
    rare = [splits.labels.index(name) for name in result.labels]
    assert 0 < len(rare) < len(splits.labels)
    made = result.corpus.hard_targets[len(splits.train) :]
    assert made[:, rare].any(axis=1).all()
    copies = [name.split("~")[0] for name in result.corpus.ids[len(splits.train) :]]
    assert max(map(copies.count, set(copies))) == 2


def test_no_text_of_any_split_is_repeated_and_held_out_splits_are_untouched(splits):
    before = (splits.dev.fingerprint, splits.test.fingerprint)
    new = augment_train(splits, ALL, seed=1).corpus
    assert (splits.dev.fingerprint, splits.test.fingerprint) == before
    keys = list(map(text_key, new.texts))
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {*splits.dev.keys, *splits.test.keys}


def test_a_text_of_dev_is_not_made(splits):
    free = augment_train(splits, ALL, seed=1).corpus
    text = free.texts[-1]
    dev = replace(splits.dev, texts=[text, *splits.dev.texts[1:]])
    again = augment_train(replace(splits, dev=dev), ALL, seed=1)
    assert text not in again.corpus.texts
    assert again.refused["repeated"] >= 1


def test_the_same_seed_makes_the_same_texts_and_another_seed_others(splits):
    one, same, other = (augment_train(splits, ALL, seed=seed).corpus for seed in (1, 1, 2))
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_a_new_text_does_not_depend_on_the_other_rows(splits):
    half = replace(splits, train=splits.train.take(range(0, len(splits.train), 2)))
    config = replace(ALL, below=10_000, copies=1)
    texts = [
        {i: t for i, t in zip(new.ids, new.texts, strict=True) if "~" in i}
        for new in (augment_train(part, config, seed=1).corpus for part in (splits, half))
    ]
    shared = texts[0].keys() & texts[1].keys()
    assert len(shared) > 100
    assert sum(texts[0][name] != texts[1][name] for name in shared) <= 2  # two rows may come upon the same text


def test_the_account_names_methods_labels_and_refusals(splits):
    result = augment_train(splits, ALL, seed=1)
    assert sum(result.made.values()) == len(result.corpus) - len(splits.train)
    assert set(result.made) == set(ALL.methods)
    first = result.lines()[0]
    name, (before, after) = next(iter(result.labels.items()))
    assert f"{name} {before} -> {after}" in first
    assert before < ALL.below
    assert after > before


@pytest.mark.parametrize("method", ALL.methods)
def test_each_method_works_alone(splits, method):
    assert set(augment_train(splits, replace(ALL, methods=[method]), seed=1).made) == {method}
