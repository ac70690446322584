from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.comparison import (
    Comparison,
    Round,
    judge_serving,
    render_serving,
    serving_json,
)
from benchmarks.peers.launch import ADAPTIVE, BARE, OURS, PIPELINE
from benchmarks.rendering import publish
from benchmarks.traffic import OK, Record, Records, digest


def one_round(per_s: int) -> Round:
    rows = [Record(i / per_s, i / per_s, (i + 1) / per_s, OK) for i in range(per_s)]
    return Round(digest(Records.of(rows)), cpu_ms=1.0, memory_mib=100.0)


def overload(refused_ms: float = 5.0, refusal: str = "http 429") -> dict[str, object]:
    rows = [Record(0.0, 0.0, 0.5, OK), Record(0.0, 0.0, refused_ms / 1e3, refusal)]
    return {
        "rate_per_s": 500.0, "times_saturation": 5.0, "deadline_ms": 2000.0, "memory_before": 100.0,
        "memory_after": 104.0, "recovery_s": 0.3, **digest(Records.of(rows)),
    }  # fmt: skip


def comparison(**changes: object) -> Comparison:
    predictor = np.array([0.003, 0.004, 0.005])
    steady = {"rate_per_s": 60.0, **digest(Records.of([Record(0.0, 0.0, ms / 1e3, OK) for ms in (10, 10, 10, 30)]))}
    fields: dict[str, object] = {
        "machine": {"cpu": "a CPU"}, "bundle": "runs/latest/bundle", "clients": 64,
        "saturation": {
            OURS.name: [one_round(90), one_round(60)], BARE.name: [one_round(45), one_round(30)],
            ADAPTIVE.name: [one_round(60), one_round(40)], PIPELINE.name: [one_round(5), one_round(3)],
        },
        "alone_s": {OURS.name: predictor + np.array([0.001, 0.0015, 0.009]), BARE.name: predictor + 0.0005},
        "predictor_s": predictor, "steady": steady, "overload": overload(),
    }  # fmt: skip
    return Comparison(**(fields | changes))  # type: ignore[arg-type]


def verdicts(found: Comparison) -> dict[str, tuple[float | None, bool | None]]:
    return {verdict.promise: (verdict.measured, verdict.met) for verdict in judge_serving(found)}


def test_ratios_are_taken_within_rounds_and_promises_judged_by_them() -> None:
    found = verdicts(comparison())
    assert found[f"throughput, ours / {BARE.name}"] == (pytest.approx(2.0), True)
    assert found[f"throughput, ours / {ADAPTIVE.name}"] == (pytest.approx(1.5), True)
    assert found[f"throughput, ours / {PIPELINE.name}"] == (pytest.approx(19.0), True)
    # the median over texts of what the service adds: 1.0, 1.5 and 9.0 ms
    assert found["ms a request over the bare predictor, median"] == (pytest.approx(1.5), True)
    assert found["p99 / p50 of latency"] == (pytest.approx(3.0), True)
    assert all(met for _, met in found.values())


def test_broken_promises_show() -> None:
    slow = comparison(
        saturation={OURS.name: [one_round(10)], BARE.name: [one_round(10)]}, overload=overload(refused_ms=80)
    )
    found = verdicts(slow)
    assert found[f"throughput, ours / {BARE.name}"] == (1.0, False)
    assert found[f"throughput, ours / {PIPELINE.name}"] == (None, None)
    assert found["ms until a 429 at p99"] == (80, False)
    lost = verdicts(comparison(overload=overload(refusal="connection broken")))
    assert lost["share answered 200 or 429"] == (0.5, False)
    assert lost["ms until a 429 at p99"] == (None, None)


def test_without_an_overload_nothing_is_said_of_it() -> None:
    assert "share answered 200 or 429" not in verdicts(comparison(overload={}))
    assert "Far too much" not in render_serving(comparison(overload={}))


def test_a_written_comparison_has_its_page_its_plot_and_json(tmp_path: Path) -> None:
    found = comparison(missing={"a peer": "it did not start"})
    publish(tmp_path / "run", "serving", serving_json(found), render_serving(found))
    page = (tmp_path / "run" / "serving.md").read_text(encoding="utf-8")
    assert f"| {OURS.name} | 75.0 (60.0-90.0) |" in page
    assert "Not run: a peer: it did not start" in page
    content = json.loads((tmp_path / "run" / "serving.json").read_text(encoding="utf-8"))
    assert content["overhead_ms"][OURS.name] == pytest.approx(1.5)
    assert len(content["promises"]) == 10
