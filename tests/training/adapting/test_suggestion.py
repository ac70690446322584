from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from tests.training.adapting.worlds import World, evidence, parent_of, shifted, world
from training.adapting.adapt import adapt
from training.adapting.suggestion import EVENLY, _chances, _systematic, learning_curve, suggest

HOME = world()
AWAY = World(shifted(HOME.rates), HOME.separations * 0.6, HOME.believed, slope=0.7)


def names(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


def test_texts_are_drawn_with_the_chances_by_hand():
    scores = np.random.default_rng(1).normal(-1.5, 1.5, size=(40, 3))
    p = expit(scores)
    told = p * (1 - p)
    chances = EVENLY / 40 + (1 - EVENLY) * (told / told.sum(axis=0)).mean(axis=1)  # nothing is labelled: labels alike
    assert (8 * chances < 1).all()
    drawn = np.zeros(40)
    for seed in range(1500):
        chosen = suggest(scores, np.eye(40), names(40), 8, seed=seed)
        assert len(set(chosen.tolist())) == 8
        drawn[chosen] += 1
    np.testing.assert_allclose(drawn / 1500, 8 * chances, atol=0.05)


def test_a_label_that_much_is_known_of_counts_less():
    told = np.array([[0.2, 0.0], [0.0, 0.2], [0.1, 0.1]])
    chances = _chances(told, np.array([1.0, 3.0]))
    shares = told / 0.3  # weights 3 / 4 and 1 / 4
    np.testing.assert_allclose(chances, EVENLY / 3 + (1 - EVENLY) * (0.75 * shares[:, 0] + 0.25 * shares[:, 1]))


def test_a_text_that_fills_a_step_is_always_drawn_and_the_others_share_the_rest():
    chances, drawn = np.array([10.0, 1.0, 1.0, 1.0, 1.0]), np.zeros(5)
    for seed in range(800):
        drawn[_systematic(chances, np.arange(5), 3, np.random.default_rng(seed))] += 1
    np.testing.assert_allclose(drawn / 800, [1, 0.5, 0.5, 0.5, 0.5], atol=0.06)


def test_every_label_is_told_more_of_than_by_random_texts_and_none_is_taken_twice():
    scores, _ = AWAY.draw(800, 1)
    p = expit(scores)
    told = []
    for seed in range(40):
        chosen = suggest(scores, scores, names(800), 40, near_duplicate=2.0, seed=seed)
        assert len(set(chosen.tolist())) == 40
        told.append((p * (1 - p))[chosen].mean(axis=0))
    assert (np.mean(told, axis=0) > (p * (1 - p)).mean(axis=0)).all()


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
    for seed in range(20):
        logits, truth = AWAY.draw(1000, seed)
        scores = adapt(parent, evidence(logits[:0], unlabelled=logits)).calibration.scores(logits)
        chosen = suggest(scores, scores, names(1000), 50, near_duplicate=2.0, seed=seed)
        drawn = np.random.default_rng(seed).choice(1000, 50, replace=False)
        found = [
            AWAY.macro_f1(adapt(parent, rows))
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
