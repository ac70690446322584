import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.clean import filled_rows, merge_duplicates
from training.data.keys import text_key


def test_texts_that_differ_in_spaces_and_unicode_form_are_the_same():
    assert text_key("caf\u00e9  now") == text_key(" cafe\u0301 now\n")


def test_null_and_blank_texts_are_empty():
    assert filled_rows([text_key(text) for text in (None, "", " \t", "\x00", "a")]).tolist() == [4]


def test_first_copy_stays_in_place():
    merged = merge_duplicates(["a", "b", "a", "c"], np.array([[1, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32))
    assert merged.rows.tolist() == [0, 1, 3]
    assert merged.targets.tolist() == [[1, 0], [0, 1], [1, 1]]
    assert (merged.dropped, merged.conflicts) == (1, 0)


def test_two_copies_that_disagree_give_both_labels():
    merged = merge_duplicates(["a", "a"], np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32))
    assert merged.targets.tolist() == [[1, 1, 0]]
    assert merged.conflicts == 1


def test_a_label_of_one_in_three_copies_is_outvoted():
    merged = merge_duplicates(["a"] * 3, np.array([[1, 0], [1, 0], [1, 1]], dtype=np.float32))
    assert merged.targets.tolist() == [[1, 0]]


def test_copies_that_all_differ_keep_every_label():
    merged = merge_duplicates(["a"] * 3, np.eye(3, dtype=np.float32))
    assert merged.targets.tolist() == [[1, 1, 1]]


def test_soft_targets_are_averaged():
    merged = merge_duplicates(["a", "a"], np.array([[0.25, 1], [0.75, 0]], dtype=np.float32))
    assert merged.targets.tolist() == [[0.5, 0.5]]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 7)), min_size=1, max_size=12))
def test_every_text_stays_once_and_no_labelled_text_loses_all_labels(rows):
    keys = [key for key, _ in rows]
    targets = np.array([[code >> bit & 1 for bit in range(3)] for _, code in rows], dtype=np.float32)
    merged = merge_duplicates(keys, targets)
    assert sorted(keys[row] for row in merged.rows) == sorted(set(keys))
    assert merged.dropped == len(keys) - len(set(keys))
    for row, voted in zip(merged.rows, merged.targets, strict=True):
        copies = targets[[place for place, key in enumerate(keys) if key == keys[row]]]
        assert voted.any() == copies.any()
        assert not voted[~copies.any(axis=0)].any()
