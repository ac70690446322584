import time

import emoji
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text import NORMALISATIONS, default_head_tokens, head_tail, is_blank, normalise

MARKS = "e\u0301\u0323\u1100\u1161\u11a8\u0958\u200d\ufe0f\r\n\x00 a1#\u20e3\U0001f3fd😀👍❤☹🇫🇷👩💻\ud83d"
TEXTS = st.text(alphabet=st.one_of(st.sampled_from(MARKS), st.characters()), max_size=60)


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


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("got it 😀", "got it grinning face"),
        ("so 😭😭😭 tired", "so loudly crying face tired"),
        ("yes👍🏽👍🏽!", "yes thumbs up !"),
        ("❤️ and ❤", "red heart and red heart"),
        ("👨‍👩‍👧", "family man woman girl"),
        ("👩🏾‍💻", "woman technologist"),
        ("🇫🇷🏴󠁧󠁢󠁥󠁮󠁧󠁿", "France England"),
        ("3️⃣ #⃣", "keycap 3 keycap #"),
        ("😀‍💔", "grinning face broken heart"),
        ("1 # * :) → \U0001f1fd", "1 # * :) → \U0001f1fd"),
        ("[NAME] 🙏", "[NAME] folded hands"),
    ],
)
def test_emoji_become_their_names_by_example(raw, words):
    assert normalise(raw, "emoji_names") == words
    assert normalise(raw) == raw


def test_a_long_text_of_joined_emoji_is_named_all_the_same():
    begun = time.process_time()
    assert normalise("👩\u200d" * 10_000, "emoji_names").count("woman") == 10_000
    assert time.process_time() - begun < 2


def test_thirty_combining_marks_in_a_row_stay():
    assert normalise("e" + "\u0301" * 40) == "\u00e9" + "\u0301" * 29
    many = "e" + "\u0301\u0316" * 50_000 + " x"  # ordering them all would take half a minute
    assert len(normalise(many)) == 32


def test_every_emoji_has_words_that_neither_its_skin_tone_nor_its_variation_selector_changes():
    for sequence in emoji.EMOJI_DATA:
        words = normalise(sequence, "emoji_names")
        assert words
        assert emoji.emoji_count(words) == 0
        toneless = "".join(c for c in sequence if not 0x1F3FB <= ord(c) <= 0x1F3FF)
        if toneless in emoji.EMOJI_DATA:
            assert (
                words
                == normalise(toneless, "emoji_names")
                == normalise(toneless + "\ufe0f", "emoji_names").rstrip("\ufe0f ")
            )


@pytest.mark.parametrize("form", NORMALISATIONS)
@given(text=TEXTS)
def test_normalisation_is_idempotent_and_encodable(form, text):
    once = normalise(text, form)
    assert normalise(once, form) == once
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


def test_a_text_is_blank_where_nothing_of_it_is_left():
    characters = [chr(code) for code in range(0x11000)]
    assert [is_blank(character) for character in characters] == [not normalise(character) for character in characters]
    assert is_blank(" \x00\t")
    assert not is_blank(" \x00a")
