"""The cost of evaluating rows is measured step by step, over all that an evaluation writes."""

from benchmarks.scoring import measure


def test_every_step_of_an_evaluation_is_measured():
    steps = measure(60)
    assert [str(row["step"]).split(" of ")[0] for row in steps] == [
        "inputs", "metrics and intervals", "Ekman's groups and sentiments", "report", "file",
    ]  # fmt: skip
    peaks = [row["peak_mb"] for row in steps]
    assert peaks == sorted(peaks)
    assert peaks[0] > 0
