"""The int8 model of a bundle: quantised, and where that loses too much, with its most sensitive parts left in fp32."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from serving.exported import FILES, ExportedModel
from serving.exporting.model_files import GRAPH, save
from serving.exporting.quantise import Quantiser
from serving.exporting.verification import verify_model
from serving.predictor import Predictor
from serving.runtime import open_session
from shared.bundle import Bundle, Reference
from shared.cli import is_terminal

PRECISION = "int8"
SENSITIVITY_ROWS = 64
"""Reference rows, evenly spaced, on which each part's own error is measured."""

MAX_LEFT_OUT = 0.5
"""Largest share of the parts that may be left out; beyond that int8 is not worth having."""


def export_int8(
    bundle: Bundle, source: Path, path: Path, reference: Reference, *, threads: int | None = None
) -> dict[str, Any]:
    """Write the int8 model and its verification; the fastest version that stays within the tolerance.

    Everything is quantised first. If that fails, the 1, 2, 4, ... parts whose own error is largest stay in fp32.

    Args:
        bundle: what the model belongs to.
        source: folder of the fp32 model's working copy (see `model_files.split`).
        path: the file to write.
        reference: the rows to verify on.
        threads: intra-op threads; what the CPU quota allows when None.

    Returns:
        The model's part of `verification.json`; not passed when too much would have to be left out.
    """
    graph = onnx.load(source / GRAPH, load_external_data=False)
    sensitivity = measure_sensitivity(bundle, graph, source, reference, threads=threads)
    ranked = sorted(sensitivity, key=lambda unit: -sensitivity[unit])
    report: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for count in _steps(len(ranked)):
        left_out = ranked[:count]
        reasons = {unit: _reason(unit, sensitivity, report) for unit in left_out}
        save(Quantiser(graph, source).run(left_out), path, weights_from=source)
        report = verify_model(bundle, PRECISION, path, reference, threads=threads)
        if report["passed"]:
            break
    return {
        **report,
        "left_out": reasons,
        "sensitivity": {"rows": min(SENSITIVITY_ROWS, len(reference.texts)), "rms_logit_difference": sensitivity},
    }


def measure_sensitivity(
    bundle: Bundle, graph: onnx.ModelProto, source: Path, reference: Reference, *, threads: int | None = None
) -> dict[str, float]:
    """Root mean square of the logit differences when one part alone is in int8, for every part."""
    rows = np.unique(np.linspace(0, len(reference.texts) - 1, SENSITIVITY_ROWS).astype(int))
    texts, expected = [reference.texts[row] for row in rows], reference.logits[rows]
    units = Quantiser(graph, source).units()
    found = {}
    for number, unit in enumerate(units, start=1):
        if is_terminal():
            sys.stderr.write(f"\rsensitivity to int8: part {number} of {len(units)}" + "\n" * (number == len(units)))
        others = [name for name in units if name != unit]
        with tempfile.NamedTemporaryFile(dir=source, suffix=".onnx") as variant:
            onnx.save_model(Quantiser(graph, source).run(others), variant.name)
            session = open_session(Path(variant.name), threads=threads, provider="cpu")
        model = ExportedModel(PRECISION, source / FILES[PRECISION], {})
        logits = Predictor(bundle, model, session, bundle.tokenizer()).logits(texts)
        found[unit] = float(np.sqrt(np.mean((logits - expected) ** 2)))
    return found


def _steps(units: int) -> list[int]:
    """Numbers of parts to leave out, one after the other: 0, 1, 2, 4, ..."""
    most = math.floor(MAX_LEFT_OUT * units)
    return [0, *(2**power for power in range(most.bit_length()))]


def _reason(unit: str, sensitivity: Mapping[str, float], failed: Mapping[str, Any]) -> str:
    failures = "; ".join(failed.get("failures", ()))
    return f"alone in int8 it changes the logits by {sensitivity[unit]:.3g} (rms); with it {failures}"
