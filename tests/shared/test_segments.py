from __future__ import annotations

import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidInputError
from shared.segments import split
from shared.text import normalise

ODD = [
    "e\u0301", "\U0001f389", "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\r\n", "\x00", "\u2028", "\x85", "\u00a0",
    "\u200b", "\ufeff", "Dr.", "e.g.", "U.S. ", '"', "\u201d", "...", "! ", "? ", ". ", "\n\n", "1. ", "- ", "me. I ",
    "中。", "\ud83d", "\x9f", "\u2640", "\U0001f3fd",
]  # fmt: skip


def pieces(text: str, how) -> list[str]:
    return [text[start:end] for start, end in split(text, how)]


def check(text: str, how) -> None:
    last = 0
    for start, end in split(text, how):
        assert last <= start < end <= len(text)
        assert not normalise(text[last:start])
        assert normalise(text[start])
        assert normalise(text[end - 1])
        last = end
    assert not normalise(text[last:])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(ODD) | st.text(max_size=8), max_size=30).map("".join))
def test_offsets_are_in_order_cover_all_that_is_visible_and_none_is_blank(text):
    check(text, "sentence")
    check(text, "paragraph")


def test_offsets_are_exact_in_ten_thousand_texts():
    draw = random.Random(0)
    for _ in range(10_000):
        check("".join(draw.choices([*ODD, *"aZ .!?\n'"], k=draw.randrange(25))), draw.choice(["sentence", "paragraph"]))


def test_sentences_of_an_entry():
    text = "Today was strange. At lunch my sister called: our dog died. I cried!\r\n\r\nFriends came over with soup."
    assert pieces(text, "sentence") == [
        "Today was strange.", "At lunch my sister called: our dog died.", "I cried!", "Friends came over with soup.",
    ]  # fmt: skip
    assert pieces(text, "paragraph") == [text[: text.index("\r\n")], "Friends came over with soup."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"I can\'t!" she said. "Really?" He nodded...', ['"I can\'t!" she said.', '"Really?"', "He nodded..."]),
        ("Dr. Smith met Mr. J. R. Tolkien at 5 p.m. on Jan. 3. The U.S. team won.",
         ["Dr. Smith met Mr. J. R. Tolkien at 5 p.m. on Jan. 3.", "The U.S. team won."]),
        ("Good things:\n- the sun\n- mum called\n1. Got up early.\n2. Ran 5 km!",
         ["Good things:", "- the sun", "- mum called", "1. Got up early.", "2. Ran 5 km!"]),
        ("no full stop at all and it goes on and on\nnext day was better i think",
         ["no full stop at all and it goes on and on", "next day was better i think"]),
        ("A mail that was wrapped by a program somewhere between the two\nof us goes on. Then it ends.",
         ["A mail that was wrapped by a program somewhere between the two\nof us goes on.", "Then it ends."]),
        ("nobody called me. i went to bed. ok. I slept", ["nobody called me.", "i went to bed.", "ok.", "I slept"]),
        ("So glad \U0001f389 Then he left. Why?", ["So glad \U0001f389", "Then he left.", "Why?"]),
        ("He came back! :) I smiled", ["He came back! :)", "I smiled"]),
        ("\U0001f622", ["\U0001f622"]),
        (" \n\x00", []),
    ],
)  # fmt: skip
def test_dialogue_abbreviations_lists_and_text_without_full_stops(text, expected):
    assert pieces(text, "sentence") == expected


def test_offsets_of_the_caller_are_taken_as_they_are():
    assert split("a b \U0001f622 c", [(0, 3), (4, 5)]) == [(0, 3), (4, 5)]


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([(0, 6)], "segments[0] is [0, 6]; allowed: 0 <= start < end <= 5, the text's length."),
        ([(2, 2)], "segments[0] is [2, 2]; allowed: 0 <= start < end"),
        ([(0, 3), (2, 5)], "segments[1] begins at 2, before the end of the one before (3)."),
        ([(0, 1), (1, 2)], "segments[1] is [1, 2], which holds no visible character."),
    ],
)
def test_offsets_that_do_not_fit_the_text_are_refused(offsets, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        split("a b c", offsets)


def test_no_offsets_are_refused():
    with pytest.raises(InvalidInputError, match=re.escape("segments is an empty list; allowed: one [start, end]")):
        split("a b c", [])


def test_half_a_surrogate_pair_and_control_characters_end_no_sentence_and_move_no_offset():
    assert pieces("half \ud83d surrogate\x9f. Next\x00 one.", "sentence") == [
        "half \ud83d surrogate\x9f.",
        "Next\x00 one.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("I am here now. " + "\u2640" * 20_000 + "x is it.", id="signs that modify emoji and are some"),
        pytest.param("I am here now. " + "\U0001f3fd" * 20_000 + "x is it.", id="skin tones"),
        pytest.param("I am. " + "\U0001f389 " * 10_000 + "x", id="emoji and spaces"),
        pytest.param("\u2640" + "\ufe0f" * 20_000 + " a", id="variation selectors"),
        pytest.param("I am. " + ":) " * 6_666 + "x", id="emoticons"),
        pytest.param("me." + " " * 20_000 + "x", id="spaces"),
        pytest.param("1? " * 6_666 + "a", id="numbers without a letter"),
        pytest.param("1? " * 6_666, id="no letter at all"),
        pytest.param("\x0b" * 20_000 + "x", id="line breaks"),
    ],
)
@pytest.mark.parametrize("how", ["sentence", "paragraph"])
def test_a_long_text_made_to_be_slow_is_split_all_the_same(text, how):
    begun = time.process_time()
    check(text, how)
    assert time.process_time() - begun < 2
