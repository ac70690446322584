"""A conversation in Python, and the course of its labels by values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

import emotion_classifiers as ec
from shared.context import ContextFormat, Turn
from shared.errors import ConfigError, InvalidInputError
from shared.smoothing import ExponentialSmoothing
from tests.serving.bundles import stand_in_bundle

TURNS = [{"text": "i won", "speaker": "Joey"}, "really ?", "", {"text": "yes , thanks", "speaker": "Joey"}]


@pytest.fixture(scope="module")
def aware(tmp_path_factory):
    folder = stand_in_bundle(tmp_path_factory.mktemp("aware") / "bundle", context=ContextFormat(20, 1))
    return ec.load(folder, threads=1)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return ec.load(stand_in_bundle(tmp_path_factory.mktemp("plain") / "bundle"), threads=1)


def test_smoothing_by_hand():
    smoother = ExponentialSmoothing(0.5)
    assert [smoother.next([p]).item() for p in (1.0, 0.0, 0.5)] == [1.0, 0.5, 0.5]
    smoother.begin()
    assert smoother.next([0.2]).item() == 0.2
    quarter = ExponentialSmoothing(0.25)
    # 0.8; 0.25 * 0.8 + 0.75 * 0.4 = 0.5; 0.25 * 0.5 + 0.75 * 0.1 = 0.2
    assert [quarter.next([p]).item() for p in (0.8, 0.4, 0.1)] == pytest.approx([0.8, 0.5, 0.2])
    none = ExponentialSmoothing(0)
    assert [none.next([p]).item() for p in (0.8, 0.4)] == [0.8, 0.4]


@pytest.mark.parametrize("weight", [-0.1, 1, 1.5, float("nan"), "0.5", None])
def test_a_weight_outside_is_refused(weight):
    with pytest.raises(ConfigError, match=r"smoothing is .*; allowed: 0 \(none\) up to, but not, 1"):
        ExponentialSmoothing(weight)


def test_every_turn_is_read_after_those_before_it(aware):
    found = aware.conversation(TURNS)
    alone = aware.predict(["i won", "really ?", "yes , thanks"], context=[None, TURNS[:1], ["really ?"]])
    read = [each for each in found.predictions if each.error is None]
    for one, other in zip(read, alone, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=2e-6)
    assert found.turns[0] == Turn("i won", "Joey")
    assert found.labels == tuple(each.labels for each in found.predictions)
    assert found.predictions[2].error is not None


def test_probabilities_alone_take_context_too(aware):
    found = aware.predict_proba(["really ?", "so sad"], context=[["i won"], None])
    expected = [aware.predict(["really ?"], context=["i won"])[0], aware.predict(["so sad"])[0]]
    np.testing.assert_allclose(found, [list(each.probabilities.values()) for each in expected], atol=2e-6)
    assert aware.predict_proba([]).shape == aware.predict_proba([], context=[]).shape == (0, 28)
    with pytest.raises(InvalidInputError, match="could be the turns before each of them"):
        aware.predict_proba(["a b", "c d"], context=["x", "y"])


@pytest.mark.parametrize("unreadable", ["", "\x07\x1b", "half \ud83d"])
def test_a_turn_that_cannot_be_read_is_none_of_those_before_the_next(aware, unreadable):
    found = aware.conversation(["i won", unreadable, "really ?"])
    assert [each.error is None for each in found.predictions] == [True, False, True]
    wanted = aware.predict(["really ?"], context=["i won"])[0].probabilities
    assert found.predictions[2].probabilities == pytest.approx(wanted, abs=2e-6)


def test_a_bundle_without_context_reads_every_turn_alone(plain):
    found = plain.conversation(TURNS)
    alone = plain.predict(["yes , thanks"])[0].probabilities
    assert found.predictions[3].probabilities == pytest.approx(alone, abs=2e-6)


def test_the_timeline_is_smoothed_over_the_turns_that_can_be_read(aware):
    found = aware.conversation(TURNS, smoothing=0.25)
    for name, course in found.timeline.items():
        p = [each.probabilities.get(name) for each in found.predictions]
        second = 0.25 * p[0] + 0.75 * p[1]
        assert course == pytest.approx([p[0], second, np.nan, 0.25 * second + 0.75 * p[3]], nan_ok=True)
    thresholds = aware.predictor.policies.get()
    for turn, names in enumerate(found.labels):
        values = np.array([found.timeline[name][turn] for name in aware.labels])
        assert set(names) == {aware.labels[place] for place in np.flatnonzero(values >= thresholds)}


@pytest.mark.parametrize("turns", ["hello", [3], [{"text": 3}], {"text": "a"}, 3, None])
def test_what_is_no_conversation_is_refused(aware, turns):
    with pytest.raises(InvalidInputError, match="turns: a conversation is a list, the oldest turn first"):
        aware.conversation(turns)


def test_an_empty_conversation_has_no_turns(aware):
    found = aware.conversation([])
    assert (found.turns, found.predictions, found.labels) == ((), (), ())
    assert set(found.timeline.values()) == {()}
