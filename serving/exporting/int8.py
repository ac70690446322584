"""The int8 model of a bundle: quantised, and where that loses too much, with its most sensitive parts left in fp32."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from serving.exported import FILES, ExportedModel
from serving.exporting.activations import Activations
from serving.exporting.intensity_verification import deviations
from serving.exporting.onnx_models import GRAPH, save
from serving.exporting.outliers import separate_outliers
from serving.exporting.quantise import Quantiser
from serving.exporting.verification import verify_model
from serving.predictor import Predictor
from serving.runtime import open_session
from shared.bundle import Bundle
from shared.cli import is_terminal
from shared.reference import Reference

PRECISION = "int8"
OBSERVED_ROWS = 64
"""Reference rows, evenly spaced, that the products are observed on."""

SENSITIVITY_ROWS = 32
"""Reference rows, evenly spaced, on which each part's own error is measured."""

MAX_TOKENS = 4096
"""Tokens of those rows, evenly spaced, whose activations are kept."""

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

    Everything is quantised first. If that fails or flips too many decisions, the parts that cause the most error for
    their number of weights stay in fp32: as many as should do, if flips follow the error, and then half as many again
    until it is so. Where no version keeps the budget, it is the fastest within the tolerance.

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
    tokens = observe_products(bundle, graph, source, reference, threads=threads)
    activations = Activations(separate_outliers(graph, source, tokens))
    sensitivity = measure_sensitivity(bundle, graph, source, reference, activations=activations, threads=threads)
    weights = Quantiser(graph, source).units()
    ranked = sorted(sensitivity, key=lambda unit: -(sensitivity[unit] ** 2) / weights[unit])
    most = math.floor(MAX_LEFT_OUT * len(ranked))
    allowed = max(1, math.floor(flip_budget * reference.logits.size))

    def attempt(count: int) -> dict[str, Any]:
        save(Quantiser(graph, source, activations).run(ranked[:count]), path, weights_from=source)
        return verify_model(bundle, PRECISION, path, reference, threads=threads)

    report, before, passing, count = attempt(0), {}, None, 0
    while count < most and not (report["passed"] and deviations(report) <= allowed):
        passing = count if report["passed"] and passing is None else passing
        enough = _enough([sensitivity[unit] for unit in ranked], allowed / max(deviations(report), 1), count)
        before, count = report, min(most, max(count + 1, math.ceil(1.5 * count), enough))
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


def observe_products(
    bundle: Bundle, graph: onnx.ModelProto, source: Path, reference: Reference, *, threads: int | None = None
) -> dict[str, NDArray[np.float32]]:
    """What the products that int8 takes over read, tensor -> (tokens, width)."""
    names = Quantiser(graph, source).sources()
    if not names:
        return {}
    observed = onnx.ModelProto()
    observed.CopyFrom(graph)
    observed.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    session, tokenizer = _open(observed, source, threads), bundle.tokenizer()
    encoded = tokenizer.encode([reference.texts[row] for row in _rows(reference, OBSERVED_ROWS)])
    step = math.ceil(sum(len(row.ids) for row in encoded) / MAX_TOKENS)
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for row in encoded:
        for name, array in zip(names, session.run(names, tokenizer.pad([row])), strict=True):
            found[name].append(array.reshape(-1, array.shape[-1])[::step])
    return {name: np.concatenate(arrays) for name, arrays in found.items()}


def measure_sensitivity(
    bundle: Bundle,
    graph: onnx.ModelProto,
    source: Path,
    reference: Reference,
    *,
    activations: Activations,
    threads: int | None = None,
) -> dict[str, float]:
    """Root mean square of the logit differences when one part alone is in int8, for every part."""
    rows = _rows(reference, SENSITIVITY_ROWS)
    texts, expected = [reference.texts[row] for row in rows], reference.logits[rows]
    units = list(Quantiser(graph, source).units())
    found = {}
    for number, unit in enumerate(units, start=1):
        if is_terminal():
            sys.stderr.write(f"\rsensitivity to int8: part {number} of {len(units)}" + "\n" * (number == len(units)))
        others = [name for name in units if name != unit]
        session = _open(Quantiser(graph, source, activations).run(others), source, threads)
        model = ExportedModel(PRECISION, source / FILES[PRECISION], {})
        logits = Predictor(bundle, model, session, bundle.tokenizer()).logits(texts)
        found[unit] = float(np.sqrt(np.mean((logits - expected) ** 2)))
    return found


def _rows(reference: Reference, count: int) -> NDArray[np.int64]:
    """Row numbers, evenly spaced."""
    return np.unique(np.linspace(0, len(reference.texts) - 1, count).astype(np.int64))


def _open(graph: onnx.ModelProto, source: Path, threads: int | None) -> ort.InferenceSession:
    """A session on a variant of the working copy, whose weights lie in `source`."""
    with tempfile.NamedTemporaryFile(dir=source, suffix=".onnx") as variant:
        onnx.save_model(graph, variant.name)
        return open_session(Path(variant.name), threads=threads, provider="cpu")


def _enough(sensitivity: Sequence[float], share: float, count: int) -> int:
    """How many parts to leave out, in their order, so that `share` of the error that is left behind `count` remains.

    The errors of the parts are independent, so their squares add up.
    """
    remaining = np.append(np.cumsum(np.square(sensitivity)[::-1])[::-1], 0.0)
    return int(np.argmax(remaining <= share**2 * remaining[count]))


def _deviate(report: Mapping[str, Any]) -> str:
    count = deviations(report)
    return f"{count} decisions flip" if "flipped_decisions" in report else f"{count} intensities move"


def _reason(unit: str, sensitivity: Mapping[str, float], failed: Mapping[str, Any]) -> str:
    flips = _deviate(failed) if failed.get("passed") else ""
    failures = "; ".join(failed.get("failures", ())) or flips
    return f"alone in int8 it changes the logits by {sensitivity[unit]:.3g} (rms); with it {failures}"
