import numpy as np

from training.data.batching import MinimumPresence

TARGETS = np.zeros((100, 3), dtype=bool)
TARGETS[:90, 0], TARGETS[90:98, 1], TARGETS[98:, 2] = True, True, True
LENGTHS = np.full(100, 10)
LENGTHS[91] = 50


def batches():
    return [np.arange(start, start + 10) for start in range(0, 100, 10)]


def test_every_label_stands_in_every_batch():
    filled = MinimumPresence(TARGETS, LENGTHS, 1).apply(batches(), np.random.default_rng(0))
    assert all(TARGETS[batch].any(axis=0).all() for batch in filled)
    assert [len(batch) for batch in filled] == [10] * 10


def test_batch_that_has_enough_stays_as_it_is():
    batch = np.array([0, 1, 2, 90, 91, 98, 99])
    filled = MinimumPresence(TARGETS, LENGTHS, 1).apply([batch], np.random.default_rng(0))
    assert filled[0].tolist() == batch.tolist()


def test_rows_brought_in_take_turns_and_fit_in_length():
    filled = MinimumPresence(TARGETS, LENGTHS, 1).apply(batches(), np.random.default_rng(0))
    used = np.bincount(np.concatenate(filled), minlength=100)
    assert used[98:].tolist() in ([5, 6], [6, 5], [5, 5])
    assert used[91] <= 1
    assert used[[90, 92, 93, 94, 95, 96, 97]].max() <= 3


def test_room_for_fewer_labels_than_wanted_is_used_for_the_rarest():
    filled = MinimumPresence(TARGETS, LENGTHS, 1).apply([np.array([0, 1])], np.random.default_rng(0))
    assert TARGETS[filled[0]].sum(axis=0).tolist() == [1, 0, 1]


def test_label_without_rows_is_left_alone():
    targets = np.zeros((4, 2), dtype=bool)
    targets[:, 0] = True
    filled = MinimumPresence(targets, np.ones(4), 1).apply([np.arange(4)], np.random.default_rng(0))
    assert filled[0].tolist() == [0, 1, 2, 3]
