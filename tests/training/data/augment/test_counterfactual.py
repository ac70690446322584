"""Another person in the same text: words by hand, and back again."""

import numpy as np
import pytest

from training.data.augment.counterfactual import swap_person


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He told his sister.", "She told her brother."),
        ("I saw her.", "I saw him."),
        ("Her dog likes her!", "His dog likes him!"),
        ("MY DAD and the Women", "MY MOM and the Men"),
        ("the weather is fine", None),
        ("theheroes shed", None),
    ],
)
def test_gendered_words_are_swapped_in_the_case_they_stand_in(text, expected):
    assert swap_person(text, np.random.default_rng(0)) == expected


def test_a_name_becomes_another_of_its_set_and_the_article_stays_right():
    found = {swap_person("I met Omar, a Muslim man", np.random.default_rng(seed)) for seed in range(30)}
    assert len(found) > 5
    assert not any("Omar" in text or "Muslim" in text or " man" in text for text in found)
    assert all(text.startswith("I met ") and ", a " in text for text in found)
