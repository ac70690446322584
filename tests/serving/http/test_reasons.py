from __future__ import annotations

import math

import numpy as np
import pytest

from serving.http.reasons import reasons
from serving.http.responses import rules_for
from serving.http.schemas import PredictRequest
from shared.bundle import Bundle
from shared.labels import GOEMOTIONS
from tests.serving.bundles import stand_in_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    return Bundle.read(stand_in_bundle(tmp_path_factory.mktemp("reasons") / "bundle"))


def probabilities(**given: float) -> np.ndarray:
    values = np.full(len(GOEMOTIONS), 0.01)
    for name, value in given.items():
        values[GOEMOTIONS.index(name)] = value
    return values


def test_a_word_adds_what_the_log_odds_lose_without_it_the_largest_first(bundle):
    rules = rules_for(PredictRequest(text="", policy="half"), bundle)
    occluded = [probabilities(joy=0.8), probabilities(joy=0.2)]
    found = reasons("so glad", probabilities(joy=0.8, anger=0.4), occluded, rules, bundle, offset=10)
    assert found == {
        "joy": [
            {"start": 13, "end": 17, "word": "glad", "contribution": pytest.approx(math.log(16), abs=1e-4)},
            {"start": 10, "end": 12, "word": "so", "contribution": 0.0},
        ]
    }


@pytest.mark.parametrize(("taxonomy", "group"), [("ekman", "joy"), ("sentiment", "positive")])
def test_the_member_that_speaks_for_a_group_in_the_whole_is_compared_with_itself(bundle, taxonomy, group):
    """Love speaks, 0.1 above its threshold; without "dear" joy would, whose odds are higher and have not changed."""
    request = PredictRequest(text="", policy="half", taxonomy=taxonomy, thresholds={"joy": 0.9})
    found = reasons(
        "dear",
        probabilities(love=0.6, joy=0.95),
        [probabilities(love=0.2, joy=0.95)],
        rules_for(request, bundle),
        bundle,
    )
    assert found[group][0]["contribution"] == pytest.approx(math.log(1.5 / 0.25), abs=1e-4)
