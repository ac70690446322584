from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from tests.training.adapting.worlds import World, evidence, parent_of, shifted, world
from training.adapting.adapt import adapt, present_macro_f1
from training.adapting.suggestion import PRIOR_INFORMATION, learning_curve, suggest

HOME = world()
AWAY = World(shifted(HOME.rates), HOME.separations * 0.6, HOME.believed, slope=0.7)


def names(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


def test_the_first_text_is_the_one_that_tells_most_by_hand():
    scores = np.array([[0.0, -4.0], [-1.0, -1.0], [4.0, 4.0]])
    p = expit(scores)
    gains = np.log1p(p * (1 - p) / PRIOR_INFORMATION).sum(axis=1)
    assert suggest(scores, np.eye(3), names(3), 1).tolist() == [int(np.argmax(gains))]


def test_every_label_gets_texts_and_none_twice():
    scores, _ = AWAY.draw(800, 1)
    chosen = suggest(scores, scores, names(800), 40)
    assert len(set(chosen.tolist())) == 40
    p = expit(scores)
    told = (p * (1 - p))[chosen].sum(axis=0)
    random = np.array([(p * (1 - p))[np.random.default_rng(seed).permutation(800)[:40]].sum(axis=0)
                       for seed in range(20)]).mean(axis=0)  # fmt: skip
    assert (told > random).all()


def test_near_duplicates_of_a_text_that_is_taken_or_labelled_are_left_out():
    random = np.random.default_rng(0)
    vectors = np.repeat(random.normal(size=(10, 30)), 3, axis=0) + 0.01 * random.normal(size=(30, 30))
    scores = random.normal(size=(30, 4))
    chosen = suggest(scores, vectors, names(30), 30)
    assert len({row // 3 for row in chosen.tolist()}) == len(chosen) == 10
    more = suggest(scores, vectors, names(30), 30, labelled=3)
    assert len(more) == 9
    assert min(more) >= 3
    same = suggest(scores, random.normal(size=(30, 30)), ["So, glad!", "so glad", *names(28)], 30)
    assert len({0, 1} & set(same.tolist())) == 1


@pytest.mark.slow
def test_suggested_rows_with_the_texts_they_are_from_beat_random_ones():
    parent, gains = parent_of(HOME), []
    for seed in range(6):
        logits, truth = AWAY.draw(1000, seed)
        others, true = AWAY.draw(3000, 500 + seed)
        scores = adapt(parent, evidence(logits[:0], unlabelled=logits)).calibration.scores(logits)
        known = np.ones(true.shape, bool)
        chosen = suggest(scores, scores, names(1000), 50)
        drawn = np.random.default_rng(seed).choice(1000, 50, replace=False)
        found = [
            present_macro_f1(true, adapt(parent, rows).decisions(others), known)
            for rows in (evidence(logits[chosen], truth[chosen], unlabelled=logits),
                         evidence(logits[drawn], truth[drawn]))
        ]  # fmt: skip
        gains.append(found[0] - found[1])
    assert np.mean(gains) > 0


def test_the_curve_says_what_more_rows_would_bring():
    parent = parent_of(HOME)
    logits, truth = AWAY.draw(100, 3)
    curve = learning_curve(parent, evidence(logits, truth), 50)
    assert list(curve.points) == [25, 50, 80]
    value, low, high = curve.gain
    assert 0 <= low <= value <= high < 0.1
    always = adapt(parent, evidence(logits, truth))
    flat = learning_curve(parent, evidence(logits, truth), 50, fit=lambda *_: always)
    assert flat.gain == pytest.approx((0, 0, 0))
