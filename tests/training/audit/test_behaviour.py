"""The check list passes a model that behaves and names what one does not do; noise costs what it must."""

import numpy as np
import pytest

from shared.context import Turn, context_of, with_context
from training.audit.behaviour import SEEDS, check_behaviour
from training.audit.robustness import measure_robustness, mistyped

LABELS = ("joy", "sadness", "anger", "love")


def keyword_model(*, negation):
    """Decides an emotion by its word, in any case; with or without a look at negations."""

    def answer(texts):
        p = np.full((len(texts), len(LABELS)), 0.05)
        for row, text in enumerate(texts):
            for column, label in enumerate(LABELS):
                for _, word, _ in SEEDS[label]:
                    if word in text.lower():
                        p[row, column] = 0.9
            if negation and any(word in text.lower() for word in ("not", "never")):
                p[row] = 0.05
        return p, p >= 0.5

    return answer


@pytest.mark.parametrize("negation", [True, False])
def test_a_model_that_does_not_see_negation_fails_there_and_passes_where_its_word_is_enough(negation):
    found = {row["behaviour"]: row for row in check_behaviour(keyword_model(negation=negation), LABELS)}
    assert found["negation"]["passed"] == float(negation)
    assert found["negation lowers"]["passed"] == float(negation)
    assert found["names its emotion"]["passed"] == found["casing"]["passed"] == found["length"]["passed"] == 1
    assert found["typos"]["passed"] == 0.5  # a letter doubled at the end leaves the word in, swapped ones do not
    if not negation:
        assert found["negation"]["failures"][0][0]["decided"] == "joy 0.90"


def test_emotions_that_a_model_does_not_have_are_not_asked():
    assert check_behaviour(keyword_model(negation=True), ("mustard",)) == []


def test_noise_costs_the_words_it_breaks_and_other_changes_nothing():
    texts = ["I am happy.", "I am sad.", "He was furious.", "I love this song."] * 30
    truth = np.tile(np.eye(4, dtype=bool), (30, 1))
    rows = {
        row["change"]: row
        for row in measure_robustness(keyword_model(negation=False), texts, truth, np.ones_like(truth))
    }
    assert rows["capitals"]["micro_f1_after"] == rows["capitals"]["micro_f1_before"] == 1
    assert rows["capitals"]["rows_with_a_flip"] == 0
    two, ten = (rows[f"{share} % of the letters mistyped"] for share in (2, 10))
    assert ten["micro_f1_after"] < two["micro_f1_after"] <= 1
    assert rows["first half of the words"]["micro_f1_after"] < 1


def test_noise_leaves_the_turns_before_a_text_alone():
    def by_context(texts):
        decided = np.array([[bool(context_of(text))] for text in texts])
        return decided.astype(float), decided

    texts = [with_context("I am happy.", [Turn("Did you win?")])] * 20
    truth = np.ones((20, 1), bool)
    assert all(row["rows_with_a_flip"] == 0 for row in measure_robustness(by_context, texts, truth, truth))


def test_mistyping_changes_about_the_share_of_letters_it_says():
    text = "abcdefghij" * 400
    changed = mistyped(text, np.random.default_rng(0), 0.05)
    assert abs(len(changed) - len(text)) < 60
    assert mistyped(text, np.random.default_rng(0), 0.0) == text
    assert mistyped("a", np.random.default_rng(0), 1.0)
