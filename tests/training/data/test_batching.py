import numpy as np
import pytest
from accelerate import skip_first_batches
from accelerate.data_loader import BatchSamplerShard, prepare_data_loader
from torch.utils.data import BatchSampler, DataLoader

from shared.errors import ConfigError
from training.config.data import SamplingConfig
from training.data.batching import BatchOrderSampler, RowPlan, build_sampler, plan_rows
from training.data.corpus import Corpus

LENGTHS = np.random.default_rng(0).integers(5, 60, size=1003)


def corpus(targets, weights=None):
    targets = np.asarray(targets, dtype=np.float32)
    n = len(targets)
    weights = np.ones(n, np.float32) if weights is None else np.asarray(weights, dtype=np.float32)
    return Corpus(["t"] * n, targets, np.ones(targets.shape, bool), list(map(str, range(n))), ["x"] * n, weights)


def sampler(**options):
    return BatchOrderSampler(LENGTHS, 32, seed=1, **options)


def test_every_row_comes_once():
    assert sorted(sampler()) == list(range(len(LENGTHS)))
    assert len(sampler()) == len(LENGTHS)


def test_seed_and_epoch_decide_the_order_and_nothing_else():
    first, again, later = sampler(), sampler(), sampler()
    np.random.seed(5)
    later.set_epoch(1)
    assert list(first) == list(again) != list(later)
    later.set_epoch(0)
    assert list(later) == list(first)


def test_batches_are_of_similar_length():
    def padding(batches):
        return sum(LENGTHS[b].max() * len(b) for b in batches) / LENGTHS.sum() - 1

    assert padding(sampler().batches(0)) < padding(sampler(group_by_length=False).batches(0)) / 4


def test_longest_batch_is_first_and_incomplete_one_last():
    batches = sampler().batches(3)
    assert LENGTHS[batches[0]].max() == LENGTHS.max()
    assert [len(batch) for batch in batches] == [32] * 31 + [11]


def test_order_of_batches_does_not_follow_length():
    means = [LENGTHS[batch].mean() for batch in sampler().batches(0)[1:-1]]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.5


def test_fewer_rows_than_a_batch_still_come():
    assert sorted(BatchOrderSampler(LENGTHS[:5], 32, seed=1)) == [0, 1, 2, 3, 4]


def test_processes_together_see_the_global_batch_of_one():
    shards = [
        list(BatchSamplerShard(BatchSampler(sampler(), 16, False), num_processes=2, process_index=i)) for i in (0, 1)
    ]
    together = [[*a, *b] for a, b in zip(*shards, strict=True)]
    assert together[:31] == [batch.tolist() for batch in sampler().batches(0)[:31]]


def loader():
    return prepare_data_loader(
        DataLoader(list(range(len(LENGTHS))), batch_size=32, sampler=sampler()), put_on_device=False
    )


def test_accelerate_passes_the_epoch_on():
    prepared = loader()
    prepared.set_epoch(2)
    assert next(iter(prepared)).tolist() == sampler().batches(2)[0].tolist()


def test_resume_within_an_epoch_goes_on_where_it_stopped():
    prepared = skip_first_batches(loader(), 7)
    prepared.set_epoch(2)
    assert [batch.tolist() for batch in prepared] == [batch.tolist() for batch in sampler().batches(2)[7:]]


def test_weights_say_how_often_a_row_comes():
    plan = RowPlan(np.array([1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 2, 2.5, 2.5], dtype=np.float32))
    drawn = plan.draw(np.random.default_rng(0))
    counts = np.bincount(drawn, minlength=11)
    assert len(drawn) == plan.size == 4 + 2 + 2 + 5
    assert counts[:4].tolist() == [1, 1, 1, 1]
    assert counts[4:8].sum() == 2
    assert counts[8] == 2
    assert sorted(counts[9:]) == [2, 3]


def test_a_fraction_of_rows_is_drawn_anew_in_each_epoch():
    plan = RowPlan(np.full(100, 0.5, dtype=np.float32))
    seen = {row for epoch in range(10) for row in plan.draw(np.random.default_rng(epoch))}
    assert len(seen) > 90


def test_a_rare_class_is_multiplied_by_the_factor():
    targets = np.zeros((200, 3))
    targets[:150, 0], targets[100:177, 1], targets[177:180, 2] = 1, 1, 1
    plan = plan_rows(corpus(targets), SamplingConfig(oversample_below=100, oversample_factor=1.5))
    counts = np.bincount(plan.draw(np.random.default_rng(0)), minlength=200)
    assert plan.size == counts.sum() == 200 + 38 + 1
    assert counts[:100].tolist() == [1] * 100
    assert counts[100:177].sum() == 115
    assert counts.max() == 2


def test_a_factor_above_two_repeats_all_rows_first():
    plan = plan_rows(corpus([[1, 0]] * 4 + [[0, 1]] * 20), SamplingConfig(oversample_below=5, oversample_factor=3.5))
    counts = np.bincount(plan.draw(np.random.default_rng(0)), minlength=24)
    assert sorted(counts[:4]) == [3, 3, 4, 4]


def test_oversampling_length_groups_and_presence_compose():
    random = np.random.default_rng(0)
    targets = random.random((1003, 6)) < np.array([0.5, 0.3, 0.1, 0.05, 0.02, 0.01])
    options = SamplingConfig(oversample_below=60, oversample_factor=2.0, min_presence=2)
    built = build_sampler(corpus(targets), LENGTHS, options, batch_size=32, seed=4)
    batches = built.batches(0)
    assert sum(map(len, batches)) == len(built) == 1003 + sum(n for n in targets.sum(axis=0) if n < 60)
    assert all((targets[batch].sum(axis=0) >= 2).all() for batch in batches if len(batch) == 32)


def test_presence_larger_than_the_batch_is_refused():
    with pytest.raises(ConfigError, match="data.sampling.min_presence 9 does not fit in a batch of 8 rows"):
        build_sampler(corpus([[1]]), np.array([3]), SamplingConfig(min_presence=9), batch_size=8, seed=0)
