"""The cost of evaluating rows is measured step by step, over all that an evaluation writes."""

import sys

import pytest

from benchmarks.scoring import _cost, measure, predicting
from tests.serving.bundles import stand_in_bundle


def test_every_step_of_an_evaluation_is_measured():
    steps = measure(60)
    assert [str(row["step"]).split(" of ")[0] for row in steps] == [
        "inputs", "metrics and intervals", "Ekman's groups and sentiments", "report", "file",
    ]  # fmt: skip
    peaks = [row["peak_mb"] for row in steps]
    assert peaks == sorted(peaks)
    assert peaks[0] > 0


def test_both_ways_of_predicting_a_table_are_measured(tmp_path):
    found = predicting(str(stand_in_bundle(tmp_path / "bundle")), 50, 1)
    assert [row["way"] for row in found] == ["before", "after"]
    assert min(row[key] for row in found for key in ("s", "cpu_s", "texts_s", "peak_mb")) > 0
    with pytest.raises(RuntimeError, match="no bundle"):
        _cost([sys.executable, "-m", "serving.predict", str(tmp_path / "gone"), "--text", "a"])
