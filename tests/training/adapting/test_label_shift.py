from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from tests.training.adapting.worlds import World, evidence, parent_of, shifted, world
from training.adapting.adapt import adapt
from training.adapting.label_shift import (
    ReferenceRows,
    confusion_priors,
    em_priors,
    estimate_label_shift,
    importance,
    shifts_to_frequencies,
)

HOME = world()


def reference(home: World = HOME, count: int = 4000) -> ReferenceRows:
    logits, truth = home.draw(count, 1000)
    return ReferenceRows(logits, truth, np.ones(truth.shape, dtype=bool))


@pytest.mark.parametrize("seed", range(5))
def test_em_recovers_planted_shifts(seed: int) -> None:
    away = HOME.elsewhere(shifted(HOME.rates, seed=seed, mean=0.5))
    scores, truth = away.draw(2000, seed)
    found = em_priors(scores, reference().priors)
    assert np.abs(found - truth.mean(axis=0)).mean() < 0.02
    assert np.abs(found - truth.mean(axis=0)).mean() < np.abs(HOME.rates - truth.mean(axis=0)).mean() / 3


def test_em_by_hand_is_a_fixed_point_of_the_mean_posterior() -> None:
    scores, _ = HOME.draw(500, 3)
    priors = np.full(12, 0.1)
    found = em_priors(scores, priors, tolerance=1e-10)
    odds = expit(scores) / (1 - expit(scores)) * (found / (1 - found)) / (priors / (1 - priors))
    posterior = odds / (1 + odds)
    np.testing.assert_allclose(found, (posterior.sum(axis=0) + 10 * 0.1) / 510, atol=1e-8)


@pytest.mark.parametrize("sign", [1, -1])
def test_few_texts_without_a_rare_label_leave_its_frequency(sign: int) -> None:
    # one in 500 by the parent; none in these 20, which say nothing of what is rarer than one in 42
    prior = expit(sign * logit(0.002))
    rows = ReferenceRows(
        np.full((1000, 1), logit(prior)), np.arange(1000)[:, None] < 1000 * prior, np.full((1000, 1), True)
    )
    texts = np.full((20, 1), logit(prior) - sign * 12)
    found = estimate_label_shift(texts, rows, np.array([0.5]))
    assert found.shifts[0] == pytest.approx(0)
    assert found.priors[0] == pytest.approx(prior)
    assert not found.doubtful[0]


def test_no_texts_leave_the_parents_frequencies() -> None:
    np.testing.assert_allclose(em_priors(np.zeros((0, 12)), HOME.rates), HOME.rates)


def test_the_black_box_estimator_by_hand() -> None:
    # 8 of 10 positives and 1 of 10 negatives are decided: 8.5 / 11 and 1.5 / 11 with half a count beside each
    scores = np.array([1.0] * 8 + [-1.0] * 2 + [1.0] + [-1.0] * 9)[:, None]
    truth = np.arange(20)[:, None] < 10
    known = np.ones((20, 1), dtype=bool)
    texts = np.array([1.0, -1.0])[:, None]
    found, error = confusion_priors(texts, ReferenceRows(scores, truth, known), np.array([0.5]))
    assert found[0] == pytest.approx((0.5 - 1.5 / 11) / (7 / 11))
    assert error[0] > 0.3
    blind = ReferenceRows(np.ones((20, 1)), truth, known)
    assert np.isnan(confusion_priors(texts, blind, np.array([0.5]))[0][0])


def test_both_estimators_agree_where_the_shift_is_one_of_labels_and_not_elsewhere() -> None:
    thresholds = np.full(12, 0.3)
    away = HOME.elsewhere(shifted(HOME.rates))
    assert estimate_label_shift(away.draw(1500, 1)[0], reference(), thresholds).doubtful.sum() <= 1
    other = World(away.rates, HOME.separations * 0.6, HOME.believed, slope=0.7)
    found = estimate_label_shift(other.draw(1500, 1)[0], reference(), thresholds)
    assert found.doubtful.sum() >= 6
    # of two that disagree, the one nearer to the parent's
    priors, least = logit(reference().priors), 0.5 / 1501  # half a text more than there are
    distances = [np.abs(logit(np.clip(each, least, 1 - least)) - priors) for each in (found.by_em, found.by_confusion)]
    nearest = np.minimum(*distances)
    np.testing.assert_allclose(np.abs(found.shifts)[found.doubtful], nearest[found.doubtful], atol=0.05)


def test_a_shift_that_is_not_one_of_labels_is_said_with_the_labels() -> None:
    other = World(shifted(HOME.rates), HOME.separations * 0.6, HOME.believed, slope=0.7)
    found = adapt(parent_of(HOME), evidence(np.zeros((0, 12)), unlabelled=other.draw(1000, 2)[0]))
    assert len(found.notes) == 1
    assert "differ from the parent's in more than the frequencies of labels" in found.notes[0]
    assert "label 3" in found.notes[0]


def test_shifts_meet_the_frequencies_they_are_to_meet() -> None:
    scores, _ = HOME.draw(300, 3)
    wanted = np.where(np.arange(12) % 2, 0.4, np.nan)
    shifts = shifts_to_frequencies(scores, wanted)
    np.testing.assert_allclose(expit(scores + shifts).mean(axis=0)[1::2], 0.4, atol=1e-9)
    assert not shifts[::2].any()


def test_importance_weighs_the_reference_rows_to_the_new_frequencies() -> None:
    rows = reference()
    weights = importance(rows, np.full(12, 1.0))
    assert weights.mean(axis=0) == pytest.approx(1.0, abs=1e-9)
    expected = expit(logit(rows.priors) + 1.0)
    p = expit(rows.scores)
    share = (p * expected / rows.priors).mean(axis=0)
    np.testing.assert_allclose(share, expected, atol=1e-9)
