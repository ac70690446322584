import json

import numpy as np
import pytest

from shared.errors import BundleFormatError, InvalidInputError
from shared.thresholds import ARGMAX, Policies, decide


def policies(**values):
    arrays = {name: np.array(thresholds) for name, thresholds in values.items()}
    return Policies(("a", "b"), arrays, "dev")


def test_a_probability_equal_to_its_threshold_is_a_yes():
    assert decide([[0.5, 0.2], [0.49, 0.3]], [0.5, 0.3]).tolist() == [[True, False], [False, True]]


def test_the_default_policy_answers_for_no_name():
    known = policies(f1=[0.3, 0.4], half=[0.5, 0.5])
    assert known.get().tolist() == [0.3, 0.4]
    assert known.get("half").tolist() == [0.5, 0.5]
    with pytest.raises(InvalidInputError, match="unknown policy 'best'. Allowed: f1, half"):
        known.get("best")


def test_reading_gives_back_what_was_written_to_the_last_bit(tmp_path):
    written = policies(f1=[0.1 + 0.2, 1 / 3])
    written.write(tmp_path / "thresholds.json")
    read = Policies.read(tmp_path / "thresholds.json")
    assert (read.labels, read.fitted_on, read.default) == (("a", "b"), "dev", "f1")
    assert (read.get() == written.get()).all()


def test_policies_must_be_whole():
    with pytest.raises(BundleFormatError, match="default policy 'f1' is not among half"):
        policies(half=[0.5, 0.5])
    with pytest.raises(BundleFormatError, match="policy 'f1' has 1 thresholds for 2 labels"):
        policies(f1=[0.5])
    with pytest.raises(BundleFormatError, match="policy 'f1' has a threshold outside 0..1"):
        policies(f1=[0.5, 1.5])
    with pytest.raises(BundleFormatError, match="policy 'f1' has a threshold outside 0..1"):
        policies(f1=[0.5, np.nan])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"default": "f1", "fitted_on": "dev", "policies": {"f1": {"a": 0.5}, "half": {"b": 0.5}}},
            "policy 'half' names other labels",
        ),
        ({"default": "f1", "fitted_on": "dev", "policies": {}}, "lacks or garbles"),
        ({"default": "f1", "policies": {"f1": {"a": 0.5}}}, "lacks or garbles 'fitted_on'"),
        ({"default": "f1", "fitted_on": "dev", "policies": {"f1": {"a": "x"}}}, "lacks or garbles"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, message):
    (tmp_path / "thresholds.json").write_text(json.dumps(content))
    with pytest.raises(BundleFormatError, match=f"thresholds.json.*{message}"):
        Policies.read(tmp_path / "thresholds.json")


def test_argmax_decides_for_the_most_probable_label_alone_the_first_of_equal_ones():
    known = Policies(("a", "b", "c"), {"f1": np.full(3, 0.2), ARGMAX: np.zeros(3)}, "dev", ARGMAX)
    rows = [[0.3, 0.5, 0.2], [0.4, 0.4, 0.2], [0.0, 0.0, 0.0]]
    assert known.decide(rows).tolist() == [[False, True, False], [True, False, False], [True, False, False]]
    assert known.decide(rows[0]).tolist() == [False, True, False]
    assert known.decide(rows, "f1").tolist() == [[True, True, True], [True, True, True], [False, False, False]]
    assert decide(rows[0], [0.0, 0.6, 0.0], argmax=True).tolist() == [False, False, False]  # a request's own threshold
    assert known.decide(np.zeros((0, 3))).shape == (0, 3)


def test_argmax_is_written_as_a_rule_and_read_back(tmp_path):
    path = tmp_path / "thresholds.json"
    Policies(("a", "b"), {"f1": np.array([0.2, 0.3]), ARGMAX: np.zeros(2)}, "dev", ARGMAX).write(path)
    content = json.loads(path.read_text())
    assert content["policies"] == {"f1": {"a": 0.2, "b": 0.3}, "argmax": "the highest probability"}
    read = Policies.read(path)
    assert (read.default, list(read.values), read.labels) == ("argmax", ["f1", "argmax"], ("a", "b"))
    assert read.decide([0.1, 0.9]).tolist() == [False, True]
    path.write_text(json.dumps(content | {"policies": {"argmax": "the highest probability"}}))
    with pytest.raises(BundleFormatError, match="thresholds.json lacks or garbles"):
        Policies.read(path)
