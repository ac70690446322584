import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text import default_head_tokens, head_tail, normalise


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  two\t spaces\n\nand lines ", "two spaces and lines"),
        ("nul\x00 and bell\x07", "nul and bell"),
        ("half a \ud83d pair", "half a pair"),
        ("cafe\u0301", "caf\u00e9"),
        ("no\u00a0break", "no break"),
        ("[NAME] stays 😀", "[NAME] stays 😀"),
        ("\u200b", "\u200b"),
        ("", ""),
    ],
)
def test_normalisation_by_example(raw, clean):
    assert normalise(raw) == clean


@given(st.text(alphabet=st.characters(), max_size=60))
def test_normalisation_is_idempotent_and_encodable(text):
    once = normalise(text)
    assert normalise(once) == once
    once.encode("utf-8")


def test_head_and_tail_by_hand():
    assert list(head_tail(range(10), budget=5, head=2)) == [0, 1, 7, 8, 9]
    assert list(head_tail(range(10), budget=4, head=4)) == [0, 1, 2, 3]
    assert list(head_tail(range(10), budget=3, head=0)) == [7, 8, 9]
    assert list(head_tail(range(5), budget=5, head=2)) == [0, 1, 2, 3, 4]


@given(st.integers(0, 40), st.integers(1, 20), st.data())
def test_head_tail_keeps_both_ends_and_never_exceeds_the_budget(count, budget, data):
    head = data.draw(st.integers(0, budget))
    kept = list(head_tail(range(count), budget, head))
    assert len(kept) == min(count, budget)
    assert kept[: min(head, len(kept))] == list(range(min(head, len(kept))))
    assert kept == sorted(set(kept))
    if count > budget and budget > head:
        assert kept[-1] == count - 1


def test_the_default_head_is_the_published_128_of_512():
    assert default_head_tokens(512) == 128
