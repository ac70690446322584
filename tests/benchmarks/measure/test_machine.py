from __future__ import annotations

import json

from benchmarks.measure.limits import Limits, measure_limits
from benchmarks.measure.machine import describe_machine


def test_a_description_names_what_figures_depend_on_and_is_json() -> None:
    described = json.loads(json.dumps(describe_machine(["numpy", "no-such-package"])))
    assert described["cpu"]
    assert described["cores"] >= described["usable_cores"] >= 1
    assert list(described["versions"]) == ["numpy"]
    assert described["date"].endswith("+00:00")


def test_limits_are_positive_and_the_best_of_two_is_the_larger() -> None:
    limits = measure_limits(1, seconds=0.0, scale=16)
    assert all(rate > 0 for rate in limits.as_dict().values())
    first, second = Limits(1, 2, 3, 4, 5), Limits(5, 4, 3, 2, 1)
    assert first.best(second) == Limits(5, 4, 3, 4, 5)
    assert first.rate("fp32") == 3
    assert first.rate("int8") == 2
    assert first.rate("bf16") == 4
