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
import onnxruntime as ort
from numpy.typing import NDArray

from serving.exported import FILES, ExportedModel
from serving.exporting.intensity_verification import deviations
from serving.exporting.onnx_models import GRAPH, save
from serving.exporting.quantise import Quantiser
from serving.exporting.verification import verify_model
from serving.predictor import Predictor
from serving.runtime import open_session
from shared.bundle import Bundle
from shared.cli import is_terminal
from shared.reference import Reference

PRECISION = "int8"
SENSITIVITY_ROWS = 64
"""Reference rows, evenly spaced, on which each part's own error is measured."""

FLIP_BUDGET = 0.0005
"""Share of the default policy's decisions that may flip before further parts are left out; one flip is always free."""

MAX_LEFT_OUT = 0.5
"""Largest share of the parts that may be left out; beyond that int8 is not worth having."""


def export_int8(
    bundle: Bundle,
    source: Path,
    path: Path,
    reference: Reference,
    *,
    threads: int | None = None,
    flip_budget: float = FLIP_BUDGET,
) -> dict[str, Any]:
    """Write the int8 model and its verification; the fastest version within the tolerance and the budget of flips.

    Everything is quantised first. If that fails or flips too many decisions, the 1, 2, 3, 5, 8, ... parts whose own
    error is largest stay in fp32. Where no version keeps the budget, it is the fastest within the tolerance.

    Args:
        bundle: what the model belongs to.
        source: folder of the fp32 model's working copy (see `onnx_models.split`).
        path: the file to write.
        reference: the rows to verify on.
        threads: intra-op threads; what the CPU quota allows when None.
        flip_budget: share of the default policy's decisions that may flip, in 0..1.

    Returns:
        The model's part of `verification.json`; not passed when too much would have to be left out.
    """
    graph = onnx.load(source / GRAPH, load_external_data=False)
    ranges = measure_ranges(bundle, graph, source, reference, threads=threads)
    sensitivity = measure_sensitivity(bundle, graph, source, reference, ranges=ranges, threads=threads)
    ranked = sorted(sensitivity, key=lambda unit: -sensitivity[unit])
    allowed = max(1, math.floor(flip_budget * reference.logits.size))

    def attempt(count: int) -> dict[str, Any]:
        save(Quantiser(graph, source, ranges).run(ranked[:count]), path, weights_from=source)
        return verify_model(bundle, PRECISION, path, reference, threads=threads)

    report, before, passing, count = attempt(0), {}, None, 0
    for more in _steps(len(ranked))[1:]:
        if report["passed"]:
            passing = count if passing is None else passing
            if deviations(report) <= allowed:
                break
        before, count = report, more
        report = attempt(count)
    within = report["passed"] and deviations(report) <= allowed
    if passing is not None and not within and count != passing:
        before, count = report, passing
        report = attempt(count)
    return {
        **report,
        "flip_budget": {"share": flip_budget, "allowed": allowed, "kept": within},
        "left_out": {unit: _reason(unit, sensitivity, before) for unit in ranked[:count]},
        "sensitivity": {"rows": min(SENSITIVITY_ROWS, len(reference.texts)), "rms_logit_difference": sensitivity},
    }


def measure_ranges(
    bundle: Bundle, graph: onnx.ModelProto, source: Path, reference: Reference, *, threads: int | None = None
) -> dict[str, NDArray[np.float32]]:
    """Largest magnitude of every channel of the normalised tensors, over the rows that sensitivity is measured on."""
    names = Quantiser(graph, source).normalised_sources()
    if not names:
        return {}
    observed = onnx.ModelProto()
    observed.CopyFrom(graph)
    observed.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    session = _open(observed, source, threads)
    tokenizer = bundle.tokenizer()
    ranges: dict[str, NDArray[np.float32]] = {}
    for row in tokenizer.encode([reference.texts[row] for row in _rows(reference)]):
        for name, array in zip(names, session.run(names, tokenizer.pad([row])), strict=True):
            largest = np.abs(array).reshape(-1, array.shape[-1]).max(axis=0)
            ranges[name] = np.maximum(ranges.get(name, 0), largest)
    return ranges


def measure_sensitivity(
    bundle: Bundle,
    graph: onnx.ModelProto,
    source: Path,
    reference: Reference,
    *,
    ranges: Mapping[str, NDArray[np.float32]],
    threads: int | None = None,
) -> dict[str, float]:
    """Root mean square of the logit differences when one part alone is in int8, for every part."""
    rows = _rows(reference)
    texts, expected = [reference.texts[row] for row in rows], reference.logits[rows]
    units = Quantiser(graph, source).units()
    found = {}
    for number, unit in enumerate(units, start=1):
        if is_terminal():
            sys.stderr.write(f"\rsensitivity to int8: part {number} of {len(units)}" + "\n" * (number == len(units)))
        others = [name for name in units if name != unit]
        session = _open(Quantiser(graph, source, ranges).run(others), source, threads)
        model = ExportedModel(PRECISION, source / FILES[PRECISION], {})
        logits = Predictor(bundle, model, session, bundle.tokenizer()).logits(texts)
        found[unit] = float(np.sqrt(np.mean((logits - expected) ** 2)))
    return found


def _rows(reference: Reference) -> NDArray[np.int64]:
    """Row numbers, evenly spaced."""
    return np.unique(np.linspace(0, len(reference.texts) - 1, SENSITIVITY_ROWS).astype(np.int64))


def _open(graph: onnx.ModelProto, source: Path, threads: int | None) -> ort.InferenceSession:
    """A session on a variant of the working copy, whose weights lie in `source`."""
    with tempfile.NamedTemporaryFile(dir=source, suffix=".onnx") as variant:
        onnx.save_model(graph, variant.name)
        return open_session(Path(variant.name), threads=threads, provider="cpu")


def _steps(units: int) -> list[int]:
    """Numbers of parts to leave out, one after the other: 0, 1, 2, 3, 5, 8, ..., each half as much again."""
    steps, most = [0, 1], math.floor(MAX_LEFT_OUT * units)
    while steps[-1] < most:
        steps.append(math.ceil(1.5 * steps[-1]))
    return [step for step in steps if step <= most]


def _deviate(report: Mapping[str, Any]) -> str:
    count = deviations(report)
    return f"{count} decisions flip" if "flipped_decisions" in report else f"{count} intensities move"


def _reason(unit: str, sensitivity: Mapping[str, float], failed: Mapping[str, Any]) -> str:
    flips = _deviate(failed) if failed.get("passed") else ""
    failures = "; ".join(failed.get("failures", ())) or flips
    return f"alone in int8 it changes the logits by {sensitivity[unit]:.3g} (rms); with it {failures}"
