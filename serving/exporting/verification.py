"""Verify exported models: reload from disk, compare names, then shapes, then every reference row."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from serving.canary import make_canary
from serving.exported import FILES, SCHEMA_VERSION, ExportedModel, data_file, digests
from serving.exporting.comparison import compare, failures
from serving.exporting.tolerances import TOLERANCES
from serving.predictor import Predictor, metadata_problems
from serving.runtime import active_provider, open_session
from shared.bundle import Bundle, Reference
from shared.errors import BundleFormatError

PACKAGES = ("numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "optimum", "optimum-onnx", "tokenizers", "torch",
            "transformers")  # fmt: skip


def verify_model(
    bundle: Bundle, precision: str, path: Path, reference: Reference, *, threads: int | None = None
) -> dict[str, Any]:
    """Run every reference row through tokenizer and model, and judge the outcome.

    Args:
        bundle: what the model was exported from.
        precision: a key of `FILES`; decides the tolerance.
        path: the ONNX file.
        reference: the rows and what the trained model said of them.
        threads: intra-op threads; what the CPU quota allows when None.

    Returns:
        The model's part of `verification.json`; `passed` is the verdict and `failures` the reasons.
    """
    tolerance, files = TOLERANCES[precision], digests(path)
    report: dict[str, Any] = {
        "file": FILES[precision],
        "sha256": files.pop(path.name),
        "data_files": files,
        "bytes": sum(file.stat().st_size for file in (path, data_file(path)) if file.is_file()),
        "passed": False,
        "failures": [],
        "tolerances": tolerance.described(),
    }
    try:
        session = open_session(path, threads=threads)
    except BundleFormatError as error:
        report["failures"] = [error.message.rstrip(".")]
        return report
    report["provider"] = active_provider(session)
    problems = list(metadata_problems(session, bundle))
    if not problems:
        model = ExportedModel(precision, path, {})
        predictor = Predictor(bundle, model, session, bundle.tokenizer())
        logits = predictor.logits(reference.texts)
        if logits.shape == reference.logits.shape:
            comparison = compare(bundle, reference, logits, tolerance)
            report |= {**asdict(comparison), "flipped_decisions": comparison.flipped_decisions}
            report["canary"] = make_canary(reference.texts, predictor.logits)
            problems = list(failures(comparison, tolerance))
        else:
            problems = [f"logits have shape {logits.shape}, expected {reference.logits.shape}"]
    return {**report, "failures": problems, "passed": not problems}


def describe(bundle: Bundle, reports: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `verification.json` for the reports of a bundle's models."""
    return {
        "schema_version": SCHEMA_VERSION,
        "bundle_seal": bundle.seal,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **_versions()},
        "precisions": dict(reports),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def summarise(precision: str, report: Mapping[str, Any]) -> str:
    """A model's verdict and figures as one line for a person."""
    head = f"{precision}: {'passed' if report['passed'] else 'FAILED'}, {report['file']} {report['bytes'] / 1e6:.1f} MB"
    parts = [head]
    if "rows" in report:
        difference = report["max_logit_difference"]
        parts += [
            f"{report['rows']} {report['split']} rows",
            f"max |logit difference| {'not finite' if difference is None else format(difference, '.2g')}",
            f"{report['flipped_decisions']} flipped decisions",
            f"macro F1 {report['macro_f1']:.4f} (trained {report['macro_f1_trained']:.4f})",
            f"micro F1 {report['micro_f1']:.4f} (trained {report['micro_f1_trained']:.4f})",
        ]
    return ", ".join(parts) + "".join(f"\n  {reason}" for reason in report["failures"])
