from __future__ import annotations

import numpy as np
import pytest

from shared.aggregation import Aggregation, aggregate
from shared.errors import BundleFormatError
from shared.files import write_json
from shared.thresholds import Policies, decide

SEGMENTS = np.array([[0.9, 0.2], [0.1, 0.4], [0.5, 0.3]])


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("max", [0.9, 0.4]),
        ("noisy_or", [1 - 0.1 * 0.9 * 0.5, 1 - 0.8 * 0.6 * 0.7]),
        ("mean", [0.5, 0.3]),
        ("top2_mean", [0.7, 0.35]),
    ],
)
def test_segments_become_a_text(method, expected):
    np.testing.assert_allclose(aggregate(SEGMENTS, method), expected)
    np.testing.assert_allclose(aggregate(SEGMENTS[::-1], method), expected)


@pytest.mark.parametrize("method", ["max", "noisy_or", "mean", "top2_mean"])
def test_a_text_of_one_segment_is_that_segment(method):
    np.testing.assert_allclose(aggregate(SEGMENTS[:1], method), SEGMENTS[0])


@pytest.mark.parametrize("method", ["max", "noisy_or", "mean", "top2_mean"])
def test_after_softmax_a_text_has_probabilities_that_sum_to_one(method):
    found = aggregate([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05]], method, "softmax")
    assert found.sum() == pytest.approx(1)
    assert found[0] == found[1] > found[2]
    if method == "max":
        np.testing.assert_allclose(found, [18 / 37, 18 / 37, 1 / 37])


def test_an_older_bundle_decides_the_union_of_what_its_segments_decide(tmp_path):
    found = Aggregation.read(tmp_path)
    policies = Policies(("joy", "fear"), {"f1": np.array([0.5, 0.41])}, "dev")
    thresholds = found.thresholds("f1", policies)
    union = decide(SEGMENTS, policies.get("f1")).any(axis=0)
    assert decide(found.apply(SEGMENTS), thresholds).tolist() == union.tolist() == [True, False]


def test_what_is_written_is_read(tmp_path):
    policies = Policies(("joy", "fear"), {"f1": np.array([0.5, 0.41])}, "dev")
    Aggregation("noisy_or", policies, {"entries": 3}).write(tmp_path)
    found = Aggregation.read(tmp_path)
    assert (found.method, found.measured) == ("noisy_or", {"entries": 3})
    other = Policies(("joy", "fear"), {"f1": np.zeros(2), "half": np.full(2, 0.5)}, "dev")
    assert found.thresholds("f1", other).tolist() == [0.5, 0.41]
    assert found.thresholds("half", other).tolist() == [0.5, 0.5]  # none was fitted


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"method": "best", "thresholds": None, "measured": {}}, "unknown aggregation 'best'; allowed: max, noisy_or"),
        ({"method": "max", "measured": {}}, "aggregation.json lacks or garbles 'thresholds'"),
        (
            {"method": "max", "thresholds": {"default": "f1"}, "measured": {}},
            "aggregation.json lacks or garbles 'policies'",
        ),
    ],
)
def test_a_garbled_file_is_refused(tmp_path, content, message):
    write_json(tmp_path / "aggregation.json", content)
    with pytest.raises(BundleFormatError, match=message):
        Aggregation.read(tmp_path)


def test_an_unknown_method_is_refused():
    with pytest.raises(BundleFormatError, match="unknown aggregation 'median'"):
        aggregate(SEGMENTS, "median")
