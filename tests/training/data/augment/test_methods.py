"""Each way to make a new text, on examples."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.augment.expansion import expand
from training.data.augment.paraphrase import paraphrase
from training.data.augment.synonyms import match_case, substitute


def every(change, text: str, *args) -> set[str | None]:
    """What the change makes of a text with many seeds."""
    return {change(text, np.random.default_rng(seed), *args) for seed in range(400)}


def test_synonyms_replace_whole_words_in_their_case():
    assert every(substitute, "The kid was ANGRY. Kids!", 0.01) == {
        "The child was ANGRY. Kids!",
        "The kid was ANGRY. Children!",
    }


def test_all_replaceable_words_are_replaced_when_asked():
    assert every(substitute, "kids watch movies", 1.0) == {"children watch films"}


def test_the_share_is_rounded_up():
    for text in every(substitute, "kids, moms, dads", 0.5):
        assert sum(a != b for a, b in zip(text.split(), ["kids,", "moms,", "dads"], strict=True)) == 2


def test_articles_stay_right():
    assert every(substitute, "such an awesome day", 1.0) == {"such an amazing day"}
    assert every(substitute, "such a tough day", 1.0) == {"such a difficult day"}


def test_words_with_further_meanings_replace_but_are_not_replaced():
    assert every(substitute, "a big deal", 1.0) == {None}
    assert every(substitute, "glad to hear", 1.0) == {"happy to hear"}


@pytest.mark.parametrize(
    ("original", "expected"), [("Kid", "Child"), ("KID", "CHILD"), ("kid", "child"), ("I", "Child")]
)
def test_case_is_that_of_the_original(original, expected):
    assert match_case(original, "child") == expected


def test_expansion_keeps_the_text_whole():
    for changed in every(expand, "My masterpiece is done"):
        assert "y masterpiece is done" in changed
        assert changed != "My masterpiece is done"


def test_expansion_ends_a_sentence_before_the_next():
    changed = every(expand, "we won")
    assert "we won. That is all." in changed
    assert "Update from today: we won" in changed


def test_expansion_keeps_the_capital_of_a_name_and_lowers_that_of_a_common_word():
    assert "Well, Montrose won" in every(expand, "Montrose won")
    assert "Well, they won" in every(expand, "They won")
    assert "Well, THEY WON" in every(expand, "THEY WON")


def test_expansion_of_nothing_is_nothing():
    assert every(expand, "  ") == {None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I'm so proud", {"I am so proud", "I'm really proud", "I am really proud"}),
        ("we don't know", {"we do not know"}),
        ("I don’t know", {"I do not know"}),
        ("we did not, it’s a pity", {"we didn’t, it’s a pity", "we did not, it is a pity", "we didn’t, it is a pity"}),
        ("i do not know", {"i don't know"}),
        ("THEY DO NOT KNOW", {"THEY DON'T KNOW"}),
        ("Thank you all", {"Thanks all"}),
        ("I want to thank you", {None}),
        ("Thanks for that", {"Thank you for that"}),
        ("a wall", {None}),
    ],
)  # fmt: skip
def test_paraphrases_of_a_text(text, expected):
    assert every(paraphrase, text) == expected
