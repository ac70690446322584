from __future__ import annotations

import json

from benchmarks.machine import describe_machine


def test_a_description_names_what_metrics_depend_on_and_is_json() -> None:
    described = json.loads(json.dumps(describe_machine(["numpy", "no-such-package"])))
    assert described["cpu"]
    assert described["cores"] >= described["usable_cores"] >= 1
    assert list(described["versions"]) == ["python", "numpy"]
    assert described["date"].endswith("+00:00")
