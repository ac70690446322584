from __future__ import annotations

import numpy as np
import pytest

from tests.training.adapting.worlds import World, evidence, parent_of, shifted, world
from training.adapting import suggestion
from training.adapting.adapt import adapt
from training.adapting.suggestion import _spread, learning_curve, suggest

HOME = world()
AWAY = World(shifted(HOME.rates), HOME.separations * 0.6, HOME.believed, slope=0.7)


def names(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


def test_every_text_is_equally_likely_also_where_only_some_are_compared(monkeypatch):
    monkeypatch.setattr(suggestion, "MOST_TEXTS", 30)
    scores, drawn = np.random.default_rng(1).normal(-1.5, 1.5, size=(40, 3)), np.zeros(40)
    for seed in range(500):
        chosen = suggest(scores, np.eye(40), names(40), 8, seed=seed)
        assert len(set(chosen.tolist())) == 8
        drawn[chosen] += 1
    np.testing.assert_allclose(drawn / 500, 8 / 40, atol=0.07)  # four standard errors


def test_kinds_of_texts_are_drawn_in_proportion_to_their_number():
    random = np.random.default_rng(0)
    places = np.concatenate([random.normal(place, 0.1, (20 * size, 2)) for place, size in ((0, 1), (5, 2), (9, 3))])
    for seed in range(20):
        chosen = _spread(places.astype(np.float32), 6, np.random.default_rng(seed))
        assert np.bincount(np.digitize(chosen, [20, 60]), minlength=3).tolist() == [1, 2, 3]


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
def test_texts_of_signs_alone_are_texts_of_their_own():
    texts = ["\U0001f600", "\U0001f622", "!!!", "?!", "\u0e14\u0e35", "\u0e14\u0e39", "Fine.", "fine!"]
    chosen = suggest(np.zeros((8, 2)), np.eye(8), texts, 8, labelled=1)
    assert set(chosen.tolist()) >= {1, 2, 3, 4, 5}
    assert len(set(chosen.tolist()) & {6, 7}) == 1


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
