import numpy as np
import pytest

from shared.errors import EmptyDataError
from training.data.split import require_rows, stratified_split, stratified_subset, temporal_split

FRACTIONS = (0.8, 0.1, 0.1)


@pytest.fixture(scope="module")
def targets():
    random = np.random.default_rng(0)
    rates = np.array([0.4, 0.2, 0.1, 0.05, 0.02])
    return (random.random((2000, 5)) < rates).astype(np.float32)


def test_parts_are_disjoint_and_complete(targets):
    parts = stratified_split(targets, FRACTIONS, seed=1)
    assert np.sort(np.concatenate(parts)).tolist() == list(range(len(targets)))


def test_every_label_keeps_its_share(targets):
    support = targets.sum(axis=0)
    for part, fraction in zip(stratified_split(targets, FRACTIONS, seed=1), FRACTIONS, strict=True):
        assert abs(len(part) - fraction * len(targets)) < 0.02 * len(targets)
        assert np.abs(targets[part].sum(axis=0) - fraction * support).max() <= 3


def test_seed_decides(targets):
    first, again, other = (stratified_split(targets, FRACTIONS, seed=seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_newest_rows_are_the_last_part():
    created = np.array([50.0, 10, 40, 20, 30, 60, 70, 80, 90, 100])
    train, dev, test = temporal_split(created, FRACTIONS)
    assert [created[part].tolist() for part in (dev, test)] == [[90], [100]]
    assert len(train) == 8


@pytest.mark.parametrize("size", [1, 137, 1000, 1999])
def test_subset_has_exactly_the_size_asked_for(targets, size):
    rows = stratified_subset(targets, size, seed=3)
    assert len(rows) == len(set(rows.tolist())) == size


def test_subset_keeps_the_share_of_rare_labels(targets):
    rows = stratified_subset(targets, 500, seed=3)
    assert np.abs(targets[rows].sum(axis=0) - targets.sum(axis=0) / 4).max() <= 4


def test_subset_larger_than_the_corpus_is_all_of_it(targets):
    assert len(stratified_subset(targets, 10**6, seed=3)) == len(targets)


def test_an_empty_part_is_an_error():
    with pytest.raises(EmptyDataError, match="x.csv has 2 usable rows: too few to hold out a test split"):
        require_rows([np.array([0]), np.array([1]), np.array([], dtype=int)], ("train", "dev", "test"), "x.csv")
