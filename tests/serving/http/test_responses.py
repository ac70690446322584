from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from serving.batching.jobs import Row
from serving.http.response_schemas import TextResult
from serving.http.responses import error_body, read_by_profile, result, rules_for
from serving.http.schemas import PredictRequest
from shared.bundle import Bundle
from shared.calibration import Calibration
from shared.errors import InvalidInputError, OverloadedError
from shared.labels import GOEMOTIONS
from shared.thresholds import ARGMAX, Policies
from tests.serving.bundles import stand_in_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    return Bundle.read(stand_in_bundle(tmp_path_factory.mktemp("answers") / "bundle"))


def row(**probabilities: float) -> Row:
    values = np.full(len(GOEMOTIONS), 0.01)
    for name, value in probabilities.items():
        values[GOEMOTIONS.index(name)] = value
    return Row(values, num_tokens=5, truncated=False)


def answer(bundle: Bundle, row: Row, **fields) -> dict:
    found = result(row, rules_for(PredictRequest(text="x", **fields), bundle), bundle)
    TextResult.model_validate(found)
    return found


def names(found: dict) -> list[str]:
    return [entry["label"] for entry in found["labels"]]


def test_decided_labels_come_first_to_last_by_probability(bundle):
    found = answer(bundle, row(joy=0.6, love=0.9, anger=0.49), policy="half")
    assert names(found) == ["love", "joy"]
    assert found["labels"][0] == {"label": "love", "probability": 0.9, "threshold": 0.5, "decided": True}
    assert "probabilities" not in found


def test_top_k_lists_the_most_probable_whether_decided_or_not(bundle):
    found = answer(bundle, row(joy=0.6, anger=0.49, fear=0.3), policy="half", top_k=2)
    assert [(entry["label"], entry["decided"]) for entry in found["labels"]] == [("joy", True), ("anger", False)]


def test_thresholds_of_the_request_replace_those_of_the_policy(bundle):
    found = answer(bundle, row(joy=0.6, anger=0.4), policy="half", thresholds={"joy": 0.7, "anger": 0.4})
    assert names(found) == ["anger"]
    assert found["labels"][0]["threshold"] == 0.4
    assert bundle.policies.get("half").tolist() == [0.5] * 28


def test_all_probabilities_are_added_when_asked_for(bundle):
    found = answer(bundle, row(joy=0.6), probabilities=True)
    assert list(found["probabilities"]) == list(GOEMOTIONS)
    assert found["probabilities"]["joy"] == 0.6


def test_a_taxonomy_decides_a_group_where_a_member_is_decided(bundle):
    found = answer(bundle, row(gratitude=0.8, grief=0.4), policy="half", taxonomy="sentiment", probabilities=True)
    assert names(found) == ["positive"]
    assert found["probabilities"] == {"positive": 0.8, "negative": 0.4, "ambiguous": 0.01, "neutral": 0.01}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"policy": "zebra"}, r"policy: unknown for this bundle\. Allowed: f1, half\."),
        ({"taxonomy": "zebra"}, r"taxonomy: unknown for these labels\. Allowed: goemotions, ekman, sentiment\."),
        ({"thresholds": {"angr": 0.5}}, r"the model has no such label\. Did you mean 'anger'\?"),
        ({"thresholds": {"zebra": 0.5}}, r"the model has no such label\. Allowed: admiration, "),
    ],
)
def test_unknown_names_are_refused_with_the_allowed_ones(bundle, fields, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        rules_for(PredictRequest(text="x", **fields), bundle)
    assert "zebra" not in str(caught.value)


def test_every_error_follows_the_schema():
    assert error_body(OverloadedError("full.", hint="Later.")) == {
        "error": "overloaded",
        "error_type": "OverloadedError",
        "detail": "full. Later.",
    }


def test_argmax_answers_with_the_most_probable_label_of_any_taxonomy(tmp_path):
    folder = stand_in_bundle(tmp_path / "bundle")
    bundle = Bundle.read(folder)
    values = {**bundle.policies.values, ARGMAX: np.zeros(len(GOEMOTIONS))}
    bundle = replace(bundle, policies=Policies(GOEMOTIONS, values, "dev", ARGMAX))
    shares = row(joy=0.3, love=0.2, anger=0.25)
    assert answer(bundle, shares)["labels"] == [{"label": "joy", "probability": 0.3, "threshold": 0.0, "decided": True}]
    assert names(answer(bundle, shares, taxonomy="ekman")) == ["joy"]
    assert names(answer(bundle, shares, thresholds={"joy": 0.4})) == []
    assert [entry["decided"] for entry in answer(bundle, shares, top_k=3)["labels"]] == [True, False, False]
    assert names(answer(bundle, row(joy=0.7, love=0.6), policy="half")) == ["joy", "love"]


def test_a_profile_reads_the_logits_that_the_default_has_calibrated(bundle):
    logits = np.random.default_rng(0).normal(scale=8, size=28)
    biases = np.linspace(-2, 2, 28)
    other = replace(bundle, calibration=Calibration("bias_corrected_temperature", np.full(28, 2.5), biases=biases))
    served = Row(bundle.calibration.apply(logits), num_tokens=5, truncated=False)
    np.testing.assert_allclose(read_by_profile(served, bundle, other).probabilities, other.calibration.apply(logits),
                               atol=1e-9)  # fmt: skip
    assert read_by_profile(served, bundle, bundle) is served


def test_windows_of_a_softmax_are_put_together_after_the_profile_and_sum_to_one(bundle):
    served = replace(bundle, calibration=Calibration.identity(3, "softmax"))
    halved = replace(bundle, calibration=Calibration("temperature", np.full(3, 0.5), "softmax"))
    windows = np.array([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05]])
    row = Row(windows[0], 5, truncated=False).joined(Row(windows[1], 5, truncated=False))
    np.testing.assert_allclose(read_by_profile(row, served, served).probabilities, [18 / 37, 18 / 37, 1 / 37])
    squared = windows**2 / (windows**2).sum(axis=1, keepdims=True)  # half the temperature: twice the logits
    expected = squared.max(axis=0) / squared.max(axis=0).sum()
    np.testing.assert_allclose(read_by_profile(row, served, halved).probabilities, expected)
