"""Laws of adapting, on texts of which everything is known."""

from __future__ import annotations

import os

import numpy as np
import pytest
from scipy.special import expit, logit

from shared.calibration import Calibration
from shared.errors import ConfigError
from shared.metrics import average_precision
from tests.training.adapting.worlds import World, evidence, parent_of, shifted, world
from training.adapting import adapt as module
from training.adapting import recalibration
from training.adapting.adapt import Parent, adapt, check_evidence, estimate, present_macro_f1
from training.adapting.recalibration import fit_recalibration

EVERY_DRAW = 400
DRAWS = int(os.environ.get("SYSTEM_DRAWS", "100"))
"""Of a simulation; `make system` makes every draw."""

HOME = world()
AWAY = World(shifted(HOME.rates), HOME.separations * 0.6, HOME.believed, slope=0.7)


@pytest.fixture(scope="module")
def parent() -> Parent:
    return parent_of(HOME)


def macro_f1(decided, seen: World, *, seed: int = 77, count: int = 6000) -> float:
    logits, truth = seen.draw(count, seed)
    return present_macro_f1(truth, decided.decisions(logits), np.ones(truth.shape, dtype=bool))


def test_rankings_stay_what_they_are(parent):
    logits, truth = AWAY.draw(150, 1)
    found = adapt(parent, evidence(logits, truth))
    assert not found.kept
    assert (found.calibration.temperatures > 0).all()
    others, true = AWAY.draw(1000, 2)
    before, after = (average_precision(true, each.apply(others)) for each in (parent.calibration, found.calibration))
    np.testing.assert_allclose(after, before, atol=1e-12)


def test_rows_like_those_of_training_give_the_parent_back(parent):
    kept = 0
    for seed in range(6):
        found = adapt(parent, evidence(*HOME.draw(200, seed)))
        kept += found.kept
        assert abs(macro_f1(found, HOME) - macro_f1(parent, HOME)) < 0.01
    assert kept >= 4


def test_a_kept_parent_is_the_parent_itself(parent):
    found = adapt(parent, evidence(*HOME.draw(60, 0)))
    assert found.kept
    assert found.calibration is parent.calibration
    assert found.policies is parent.policies


@pytest.mark.slow
@pytest.mark.system
def test_thirty_rows_never_cost_more_than_a_hundredth_on_average():
    home = world(6)
    parent = parent_of(home)
    others = [home.elsewhere(shifted(home.rates, mean=mean)) for mean in (-1.0, 0.0)]
    for seen in (home, *others, World(home.rates, home.separations * 0.8, home.believed)):
        after = [seen.macro_f1(adapt(parent, evidence(*seen.draw(30, seed)))) for seed in range(DRAWS // 2)]
        assert np.mean(after) - seen.macro_f1(parent) > -0.01


@pytest.mark.slow
def test_texts_beside_rows_are_believed_where_the_rows_agree_and_only_there():
    """EM takes the texts for the parent's at other frequencies: true of the first world, not of the second."""
    parent = parent_of(HOME)
    found: dict[str, np.ndarray] = {}
    odd = World(HOME.rates, HOME.separations * 0.5, HOME.believed, slope=2.0)
    for name, seen in (("frequencies", HOME.elsewhere(shifted(HOME.rates))), ("odd", odd)):
        scores = []
        for seed in range(12):
            texts, truth = seen.draw(1000, seed)
            rows, labels = texts[:50], truth[:50]
            known = [evidence(rows, labels), evidence(rows[:0], unlabelled=texts),
                     evidence(rows, labels, unlabelled=texts)]  # fmt: skip
            scores.append([seen.macro_f1(adapt(parent, each)) for each in known])
        found[name] = np.mean(scores, axis=0)
    alone, by_texts, both = found["frequencies"]
    assert both > alone + 0.005
    assert both > by_texts - 0.005
    alone, by_texts, both = found["odd"]
    assert by_texts < alone - 0.02
    assert both > alone - 0.005


def test_rows_of_other_texts_bring_much(parent):
    for count, gain in ((50, 0.05), (200, 0.07)):
        found = adapt(parent, evidence(*AWAY.draw(count, 4)))
        assert macro_f1(found, AWAY) > macro_f1(parent, AWAY) + gain


def test_known_frequencies_bring_much_and_are_met(parent):
    elsewhere = HOME.elsewhere(shifted(HOME.rates, mean=1.5))
    frequencies = np.where(np.arange(12) < 10, elsewhere.rates, np.nan)
    alone = adapt(parent, evidence(np.zeros((0, 12)), frequencies=frequencies))
    assert macro_f1(alone, elsewhere) > macro_f1(parent, elsewhere) + 0.01
    # the prior shift by hand, from the frequencies that the parent's probabilities take for granted
    priors = expit(parent.reference_logits).mean(axis=0)
    np.testing.assert_allclose(alone.calibration.biases[:10], (logit(frequencies) - logit(priors))[:10], atol=1e-9)
    assert not alone.calibration.biases[10:].any()
    assert all((alone.policies.values[name][10:] == parent.policies.values[name][10:]).all() for name in ("f1", "half"))
    texts, _ = elsewhere.draw(500, 9)
    found = adapt(parent, evidence(np.zeros((0, 12)), unlabelled=texts, frequencies=frequencies))
    np.testing.assert_allclose(found.calibration.apply(texts).mean(axis=0)[:10], frequencies[:10], atol=1e-6)


def test_labels_without_rows_keep_the_parents(parent):
    logits, truth = AWAY.draw(200, 3)
    known = np.ones(truth.shape, dtype=bool)
    known[:, [2, 7]] = False
    found = adapt(parent, evidence(logits, truth & known, known=known))
    assert not found.kept
    for label in (2, 7):
        assert found.calibration.temperatures[label] == parent.calibration.temperatures[label]
        assert found.calibration.biases[label] == 0
        assert all(
            found.policies.values[name][label] == values[label] for name, values in parent.policies.values.items()
        )


def test_a_masked_cell_counts_nowhere_whatever_stands_in_it(parent):
    logits, truth = AWAY.draw(120, 3)
    known = np.random.default_rng(0).random(truth.shape) < 0.7
    one, other = (adapt(parent, evidence(logits, stands, known=known)) for stands in (truth & known, truth | ~known))
    np.testing.assert_array_equal(one.calibration.biases, other.calibration.biases)
    np.testing.assert_array_equal(one.policies.get(), other.policies.get())


def test_recalibration_undoes_a_temperature_and_a_shift_that_were_planted():
    logits, truth = HOME.draw(4000, 5)
    found = fit_recalibration(2.0 * logits - 1.0, truth, np.ones(truth.shape, dtype=bool))
    np.testing.assert_allclose(found.slopes, 0.5, atol=0.1)
    np.testing.assert_allclose(expit(found.apply(2.0 * logits - 1.0)), expit(logits), atol=0.08)
    np.testing.assert_allclose(expit(found.apply(2.0 * logits - 1.0)).mean(axis=0), truth.mean(axis=0), atol=0.005)
    assert found.gain[0] > 10 * found.gain[1] > 0


def test_the_estimate_is_of_rows_that_were_not_fitted_on(parent, monkeypatch):
    seen = []

    def spy(parent, known, seed=0):
        seen.append(len(known.logits))
        return adapt(parent, known, seed)

    monkeypatch.setattr(module, "adapt", spy)
    logits, truth = AWAY.draw(100, 6)
    found = estimate(parent, evidence(logits, truth))
    assert seen == [80] * 5
    value, low, high = found.macro_f1["adapted"]
    assert low < value < high
    assert found.macro_f1["difference"][0] == pytest.approx(value - found.macro_f1["parent"][0])
    assert found.parent["num_examples"] == found.adapted["num_examples"] == 100


def test_labels_drawn_at_random_are_not_said_to_be_learned(parent):
    logits, truth = AWAY.draw(200, 6)
    shuffled = truth[np.random.default_rng(1).permutation(200)]
    found = estimate(parent, evidence(logits, shuffled))
    # the best that deciding without looking can do: 2 f / (1 + f) of always yes
    chance = (2 * shuffled.mean(axis=0) / (1 + shuffled.mean(axis=0)))[shuffled.any(axis=0)].mean()
    assert found.macro_f1["adapted"][0] < chance + 0.03


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(1800)
def test_intervals_cover_what_bundles_do_on_all_texts(monkeypatch):
    monkeypatch.setattr(module, "RESAMPLES", 200)
    monkeypatch.setattr(recalibration, "SPREADS", (0.5, 1.0))  # a third of the time
    home = world(6, rare=0.1)
    away = World(shifted(home.rates, mean=0.5), home.separations * 0.7, home.believed, slope=0.8)
    parent = parent_of(home)
    before, covered = away.macro_f1(parent), {"adapted": 0, "parent": 0, "difference": 0}
    for seed in range(DRAWS):
        known = evidence(*away.draw(200, seed))
        after = away.macro_f1(adapt(parent, known))
        intervals = estimate(parent, known).macro_f1
        for name, value in (("adapted", after), ("parent", before), ("difference", after - before)):
            covered[name] += intervals[name][1] <= value <= intervals[name][2]
    chance = 2 * (0.95 * 0.05 / DRAWS) ** 0.5 if DRAWS < EVERY_DRAW else 0  # of fewer draws than the bounds are for
    for name, count in covered.items():
        assert 0.9 - chance <= count / DRAWS <= 0.98 + chance, name


def test_macro_f1_of_a_world_is_that_of_many_of_its_texts(parent):
    assert AWAY.macro_f1(parent) == pytest.approx(macro_f1(parent, AWAY, count=40_000), abs=0.004)


def test_the_fewest_rows_have_an_estimate_in_which_folds_keep_the_parent(parent):
    ten = evidence(*HOME.draw(10, 0))
    check_evidence(parent, ten)
    assert estimate(parent, ten).macro_f1["difference"] == (0.0, 0.0, 0.0)


def test_what_cannot_be_adapted_is_refused(parent):
    nothing = np.zeros((0, 12))
    with pytest.raises(ConfigError, match="nothing to adapt to.*Give labelled rows, texts, or frequencies"):
        adapt(parent, evidence(nothing))
    with pytest.raises(ConfigError, match="9 labelled rows are too few.*allowed: 10 or more"):
        check_evidence(parent, evidence(*HOME.draw(9, 0)))
    one_label = Parent(
        Calibration("temperature", np.ones(12), "softmax"), parent.policies, parent.reference_logits,
        parent.reference_truth, parent.reference_known,
    )  # fmt: skip
    with pytest.raises(
        ConfigError, match="gives one label a text by the highest probability: it has no thresholds to fit"
    ):
        adapt(one_label, evidence(*HOME.draw(50, 0)))
