from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.batching.jobs import Row
from serving.telemetry.drift import NONE_NEAR, WINDOW, Drift, nearest_profile
from shared import drift
from shared.drift import FEWEST_TEXTS, population_stability_index
from shared.labels import GOEMOTIONS
from shared.profiles import DriftReference, Profile
from shared.reference import Reference
from shared.thresholds import Policies
from shared.tokenizer import Encoded

counts = st.lists(st.integers(0, 1000), min_size=3, max_size=3)


def test_the_index_by_hand(monkeypatch):
    monkeypatch.setattr(drift, "SMOOTHING", 0)
    expected = 0.25 * math.log(0.75 / 0.5) - 0.25 * math.log(0.25 / 0.5)
    assert population_stability_index([50, 50], [75, 25]) == pytest.approx(expected)


@given(counts, counts)
def test_the_index_is_zero_for_equal_shares_positive_and_symmetric(a, b):
    assert population_stability_index(a, a) == 0
    assert population_stability_index(a, b) >= 0
    assert population_stability_index(a, b) == pytest.approx(population_stability_index(b, a))


class FakeBundle:
    """Reference rows with one to forty tokens and probabilities drawn from a fixed distribution."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.profiles: dict[str, Profile] = {}
        self.rows = [row(rng) for _ in range(1000)]
        self.policies = Policies(GOEMOTIONS, {"f1": np.full(28, 0.5)}, "dev")
        self.calibration = self

    def reference(self) -> Reference:
        logits = np.stack([found.probabilities for found in self.rows]).astype(np.float32)
        marks = np.zeros((1000, 28), np.uint8)
        texts = [str(found.num_tokens) for found in self.rows]
        return Reference(np.arange(1000).astype(str), texts, marks, marks == 0, logits, "dev")

    def tokenizer(self):
        return self

    def apply(self, logits):
        return np.asarray(logits, dtype=float)

    def encode(self, texts):
        return [Encoded(np.zeros(1, np.int32), int(text), False) for text in texts]


def row(rng: np.random.Generator, *, shift: float = 0.0, longer: int = 0) -> Row:
    return Row(np.clip(rng.beta(1, 12, 28) + shift, 0, 1), int(rng.integers(1, 41)) + longer, False)


def test_texts_like_the_reference_are_stable_and_others_are_not():
    rng = np.random.default_rng(1)
    measured = Drift(FakeBundle())
    for _ in range(FEWEST_TEXTS - 1):
        measured.add(row(rng))
    assert measured.indices() == {}
    for _ in range(WINDOW):
        measured.add(row(rng))
    assert max(measured.indices().values()) < 0.1
    for _ in range(WINDOW):
        measured.add(row(rng, shift=0.3, longer=30))
    assert min(measured.indices().values()) > 0.25


def test_the_profile_whose_texts_are_nearest_is_named_or_none_is():
    rng = np.random.default_rng(2)
    bundle = FakeBundle()
    longer = [row(rng, shift=0.3, longer=30) for _ in range(500)]
    logits = np.stack([found.probabilities for found in longer]).astype(np.float32)
    lengths = np.array([found.num_tokens for found in longer], np.int32)
    bundle.profiles = {
        "letters": Profile(bundle, bundle.policies, {}, DriftReference(logits, lengths)),
        "said": Profile(bundle, bundle.policies, {}),  # by frequencies alone: there are no texts to be near to
    }
    for shift, extra, nearest in ((0.0, 0, "default"), (0.3, 30, "letters"), (0.7, 200, NONE_NEAR)):
        measured = Drift(bundle)
        assert measured.indices_by_profile() == {}
        for _ in range(FEWEST_TEXTS):
            measured.add(row(rng, shift=shift, longer=extra))
        found = measured.indices_by_profile()
        assert set(found) == {"default", "letters"}
        assert found["default"] == measured.indices()
        assert nearest_profile(found) == nearest


def test_a_real_bundle_gives_all_three(tmp_path):
    from serving.predictor import Predictor
    from tests.serving.bundles import stand_in_bundle

    predictor = Predictor.load(stand_in_bundle(tmp_path / "bundle"), threads=1)
    measured = Drift(predictor.bundle)
    for probabilities in predictor.probabilities(predictor.logits(["i am happy"] * FEWEST_TEXTS)):
        measured.add(Row(probabilities, 5, False))
    assert set(measured.indices()) == {"labels", "confidence", "length"}
