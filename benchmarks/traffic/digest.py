"""What a run says: percentiles, throughput, and the counts of every outcome."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure.summary import percentile
from benchmarks.traffic.records import OK, Records

PERCENTILES = (50.0, 95.0, 99.0, 99.9)


def digest(records: Records, texts_per_request: int = 1) -> dict[str, Any]:
    """The run as one JSON object, times in milliseconds.

    `throughput_per_s` is of requests answered well, from the first that was due to the last answer.
    """
    good = records.outcome == OK
    elapsed = float(records.done.max() - records.due.min()) if len(records) else 0.0
    served = int(good.sum()) / elapsed if elapsed > 0 else 0.0
    outcomes = Counter(map(str, records.outcome))
    return {
        "requests": len(records),
        "outcomes": dict(outcomes.most_common()),
        "elapsed_s": round(elapsed, 3),
        "throughput_per_s": round(served, 2),
        "texts_per_s": round(served * texts_per_request, 2),
        "latency_ms": in_ms(records.latency_s[good]),
        "service_ms": in_ms(records.service_s[good]),
        "latency_ms_by_outcome": {name: in_ms(records.latency_s[records.outcome == name]) for name in outcomes},
        "generator_lag_ms": in_ms(records.lag_s),
    }


def in_ms(seconds: NDArray[np.float64]) -> dict[str, float]:
    """Percentiles, mean and maximum in milliseconds; empty where there is nothing."""
    if len(seconds) == 0:
        return {}
    found = {f"p{percent:g}": percentile(seconds, percent) for percent in PERCENTILES}
    found |= {"mean": float(seconds.mean()), "max": float(seconds.max())}
    return {name: round(value * 1e3, 3) for name, value in found.items()}


def generator_was_limit(content: dict[str, Any]) -> bool:
    """Whether the load tool itself sent late by more than a tenth of what it measured at the 99th percentile."""
    lag, latency = content["generator_lag_ms"], content["latency_ms"]
    return bool(lag and latency and lag["p99"] > max(1.0, 0.1 * latency["p99"]))
