"""Texts that are alike, by what they differ in."""

from __future__ import annotations

import pytest

from training.data.keys import alike, near_hash


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Don\u2019t stop!", "don't  stop"),
        ("see https://a.org/b?c=1 now", "see www.c.de now"),
        ("@anna you_rock", "@bob you rock"),
        ("\u200bso 5 $ + 3", "so 5 \u2212 3"),
        ("\u2764\ufe0f yes", "\u2764 YES"),
        ("\U0001f44d\U0001f3fd", "\U0001f44d"),
        ("!!!", "?"),
    ],
)
def test_copies_differ_in_case_punctuation_addresses_and_names(one, other):
    assert alike(one) == alike(other)
    assert near_hash(one) == near_hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\U0001f600", "\U0001f622"),
        ("so \U0001f600", "so"),
        ("\u0e14\u0e35", "\u0e14\u0e39"),  # Thai, which differ in a vowel alone
        ("\u092e\u0947\u0902", "\u092e\u0940"),  # Hindi: in, my
    ],
)
def test_emoji_and_vowel_signs_make_other_texts(one, other):
    assert near_hash(one) != near_hash(other)
