"""A few rows that a model must repeat on the machine that serves it.

The same file may compute something else elsewhere: 8-bit products saturate on x86 processors without VNNI, and another
provider or version of ONNX Runtime may be wrong for an operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.bundle import Bundle

CANARY_ROWS = 4
"""Reference rows, evenly spaced."""

CANARY_TOLERANCE = {"fp32": 1e-3, "int8": 2e-2, "fp16": 5e-2}
"""Largest difference of a logit between two machines that both compute a model rightly, by precision."""

Logits = Callable[[Sequence[str]], NDArray[np.float32]]


def make_canary(texts: Sequence[str], logits: Logits) -> dict[str, str]:
    """Number of a reference row -> its logits, in short for `verification.json`."""
    rows = np.unique(np.linspace(0, len(texts) - 1, CANARY_ROWS).astype(int)).tolist()
    found = logits([texts[row] for row in rows])
    return {str(row): " ".join(f"{value:.6g}" for value in values) for row, values in zip(rows, found, strict=True)}


def canary_difference(report: Mapping[str, Any], bundle: Bundle, logits: Logits) -> float:
    """Largest difference between what a model gives now and what it gave when verified; 0 where nothing was kept."""
    canary: Mapping[str, str] = report.get("canary", {})
    if not canary:
        return 0.0
    texts = bundle.reference().texts
    expected = np.array([[float(value) for value in row.split()] for row in canary.values()])
    return float(np.abs(logits([texts[int(row)] for row in canary]) - expected).max())
