"""Faithfulness on a model whose logits are sums of its words' weights, so that every fall is known."""

from __future__ import annotations

import numpy as np
import pytest

from shared.context import Turn, context_of, with_context
from training.evaluation.faithfulness import DRAWS, SHARES, faithfulness
from training.evaluation.measures import Predictions

WEIGHTS = {"joy": 3.0, "glad": 2.0, "meh": -1.0}


def logits(texts):
    found = [sum(WEIGHTS.get(word, 0.0) for word in text.split()) for text in texts]
    return np.array([[0.0, value] for value in found], dtype=np.float32)


def predictions(decisions) -> Predictions:
    decided = np.array(decisions, dtype=bool)
    return Predictions(decided, np.ones_like(decided), decided * 0.9 + 0.05, decided)


def test_the_curve_of_a_sum_of_words_is_that_of_its_heaviest_words():
    text = "joy a b c glad d e f meh g"  # ten words: a share of 0.1 is one of them
    found = faithfulness([text], predictions([[False, True]]), logits, most_texts=40)
    assert found["texts"] == 1
    assert found["shares"] == list(SHARES)
    assert found["by_reasons"] == pytest.approx([3, 5, 5, 5, 5])  # joy, then glad, then words without weight


def test_words_at_random_take_their_share_of_the_sum():
    texts = ["joy a b c glad d e f meh g"] * 400
    found = faithfulness(texts, predictions([[False, True]] * 400), logits, most_texts=400)
    np.testing.assert_allclose(found["at_random"], [4 * share for share in SHARES], atol=0.35 / np.sqrt(DRAWS))


def test_only_texts_with_a_decided_label_and_enough_words_are_asked():
    texts = ["joy a b c", "joy a b", "joy a b c d", "glad a b c"]
    rows = predictions([[False, True], [False, True], [False, False], [False, True]])
    assert faithfulness(texts, rows, logits, most_texts=40)["texts"] == 2
    assert faithfulness(texts, rows, logits, most_texts=1)["texts"] == 1
    assert faithfulness(texts, rows, logits, most_texts=0) is None
    assert faithfulness(texts[1:3], predictions([[False, True], [False, False]]), logits, most_texts=40) is None


def test_the_turns_before_a_text_stay_when_its_words_go():
    said, turns = [], (Turn("how are you"),)

    def remembering(texts):
        said.extend(texts)
        return logits(texts)

    faithfulness([with_context("joy a b c", turns)], predictions([[False, True]]), remembering, most_texts=1)
    assert len(said) == 1 + 4 + len(SHARES) * (1 + DRAWS)
    assert all(context_of(text) == turns for text in said)
