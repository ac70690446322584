"""The label-preserving check: what it lets through, and what it catches."""

from __future__ import annotations

import pytest

from training.data.augment.check import rejection_reason


@pytest.mark.parametrize(
    ("original", "changed"),
    [
        ("I am so happy", "I'm so glad"),
        ("I can't wait", "I cannot wait"),
        ("i dont know", "i do not know"),
        ("The movie was scary!", "The film was frightening!"),
        ("lost him [NAME] 😔", "I wrote the same thing last week. lost him [NAME] 😔"),
        ("it’s late", "it's late, by the way"),
    ],
)
def test_what_keeps_its_meaning_passes(original, changed):
    assert rejection_reason(original, changed) is None


@pytest.mark.parametrize(
    ("original", "changed", "reason"),
    [
        ("I am happy", "I  am HAPPY ", "nothing changed"),
        ("I am happy", "I am sad", "words that tell an emotion differ"),
        ("I am happy", "I am here", "words that tell an emotion differ"),
        ("I am here", "I am here, thankfully", "words that tell an emotion differ"),
        ("good 😂", "nice", "words that tell an emotion differ"),
        ("I am happy", "I am not happy", "negations differ"),
        ("I don't care for it", "I care for it", "negations differ"),
        ("You are here", "You are here?", "marks, emoji or placeholders differ"),
        ("You are here!!", "So you are here!", "marks, emoji or placeholders differ"),
        ("met [NAME] today", "met someone today", "marks, emoji or placeholders differ"),
        ("bye 😔", "so long", "marks, emoji or placeholders differ"),
        ("one two three four five", "one two", "too short or too long"),
        ("one", "one " + "two " * 11, "too short or too long"),
    ],
)
def test_what_changes_its_meaning_is_caught(original, changed, reason):
    assert rejection_reason(original, changed) == reason
