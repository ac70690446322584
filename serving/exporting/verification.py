"""Verify exported models: reload from disk, compare names, then shapes, then every reference row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.exported import FILES, SCHEMA_VERSION, ExportedModel, digests, model_files
from serving.exporting.intensity_verification import judge_intensities, summarise_intensities
from serving.predictor import Predictor, metadata_problems, record_self_check
from serving.runtime import active_provider, open_session
from shared.bundle import Bundle
from shared.environment import package_versions
from shared.errors import BundleFormatError
from shared.metrics import brier, macro_f1, micro_f1, nll
from shared.reference import Reference
from shared.thresholds import ARGMAX, decide

PACKAGES = ("emoji", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "optimum", "optimum-onnx", "tokenizers",
            "torch", "transformers")  # fmt: skip

SIGMOID_SLOPE = 0.25
"""The steepest a sigmoid, or a softmax in one of its logits, can be."""


@dataclass(frozen=True)
class Tolerance:
    """Limits of one precision, compared on the bundle's reference rows.

    Attributes:
        max_logit_difference: largest |logit - trained logit|; None for no limit.
        max_flipped_decisions: most decisions, under any policy, that differ from the trained ones although the trained
            probability is further from its threshold than `max_logit_difference` can move it; None for no limit.
        max_macro_f1_loss: most macro F1 lost under the default policy.
        max_micro_f1_loss: most micro F1 lost under the default policy.
    """

    max_logit_difference: float | None
    max_flipped_decisions: int | None
    max_macro_f1_loss: float
    max_micro_f1_loss: float

    def described(self) -> dict[str, float | int | None]:
        """The limits by name, for `verification.json`."""
        return asdict(self)


TOLERANCES: dict[str, Tolerance] = {
    "fp32": Tolerance(1e-4, 0, 0.0, 0.0),
    "int8": Tolerance(None, None, 0.005, 0.003),
    "fp16": Tolerance(5e-2, None, 0.002, 0.001),
}
"""fp32 must be the same function; fp16 holds eleven bits; int8 is judged by what it decides."""


@dataclass(frozen=True)
class Comparison:
    """Exported against trained, on N rows.

    Attributes:
        rows: N.
        split: the split they come from.
        policy: the decision policy of the F1 values, the bundle's default.
        max_logit_difference: over all rows and labels; None where a logit is not finite.
        decisions: N times L, under each policy.
        flipped_by_policy: policy -> decisions that differ beyond rounding.
        macro_f1: of the exported model.
        macro_f1_trained: of the trained model.
        micro_f1: of the exported model.
        micro_f1_trained: of the trained model.
    """

    rows: int
    split: str
    policy: str
    max_logit_difference: float | None
    decisions: int
    flipped_by_policy: Mapping[str, int]
    macro_f1: float
    macro_f1_trained: float
    micro_f1: float
    micro_f1_trained: float

    @property
    def flipped_decisions(self) -> int:
        """Decisions of the default policy that differ beyond rounding."""
        return self.flipped_by_policy[self.policy]

    @property
    def flipped_decisions_all_policies(self) -> int:
        """Decisions that differ beyond rounding, summed over the policies, each of which decides every row."""
        return sum(self.flipped_by_policy.values())


def compare(bundle: Bundle, reference: Reference, logits: NDArray[np.float32], tolerance: Tolerance) -> Comparison:
    """Compare logits of shape (N, L) with those of the reference.

    A decision that differs only because the trained probability is as near to its threshold as the tolerance allows a
    logit to move it is no flip, and does not count in F1 either.
    """
    trained = bundle.calibration.apply(reference.logits)
    finite = bool(np.isfinite(logits).all())
    found = bundle.calibration.apply(np.nan_to_num(logits))
    rounding = SIGMOID_SLOPE * (tolerance.max_logit_difference or 0.0) / bundle.calibration.temperatures
    decided = {
        name: (
            bundle.policies.decide(trained, name),
            decisions_outside_tolerance(found, trained, thresholds, rounding, argmax=name == ARGMAX),
        )
        for name, thresholds in bundle.policies.values.items()
    }
    before, after = decided[bundle.policies.default]
    labels, known = reference.labels, reference.known
    return Comparison(
        rows=len(logits),
        split=reference.split,
        policy=bundle.policies.default,
        max_logit_difference=float(np.abs(logits - reference.logits).max(initial=0.0)) if finite else None,
        decisions=logits.size,
        flipped_by_policy={name: int((old != new).sum()) for name, (old, new) in decided.items()},
        macro_f1=macro_f1(labels, after, known),
        macro_f1_trained=macro_f1(labels, before, known),
        micro_f1=micro_f1(labels, after, known),
        micro_f1_trained=micro_f1(labels, before, known),
    )


def decisions_outside_tolerance(
    found: NDArray[np.float64],
    trained: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    rounding: NDArray[np.float64],
    *,
    argmax: bool = False,
) -> NDArray[np.bool_]:
    """Decisions on `found`, those within rounding of their threshold taken from `trained`.

    With `argmax` a label's threshold is the highest probability of the other labels, which may be rounded too.
    """
    if argmax:
        highest = np.sort(trained, axis=1)[:, [-1]]
        second = np.sort(trained, axis=1)[:, [-2]] if trained.shape[1] > 1 else np.zeros_like(highest)
        close = np.abs(trained - np.where(trained == highest, second, highest)) <= 2 * rounding
    else:
        close = np.abs(trained - thresholds) <= rounding
    return np.where(close, decide(trained, thresholds, argmax=argmax), decide(found, thresholds, argmax=argmax))


def reference_metrics(bundle: Bundle, reference: Reference, logits: NDArray[np.float32]) -> dict[str, Any]:
    """Metrics, on the N reference rows, of the model that gave these logits (N, L), decided by the default policy."""
    probabilities = bundle.calibration.apply(logits)
    labels, known, decisions = reference.labels, reference.known, bundle.policies.decide(probabilities)
    return {
        "split": reference.split,
        "policy": bundle.policies.default,
        "num_examples": len(logits),
        "macro_f1": macro_f1(labels, decisions, known),
        "micro_f1": micro_f1(labels, decisions, known),
        "brier": brier(labels, probabilities, known),
        "nll": nll(labels, probabilities, known),
    }


def failures(comparison: Comparison, tolerance: Tolerance) -> Iterator[str]:
    """What is out of tolerance, a phrase with both values each."""
    difference, allowed = comparison.max_logit_difference, tolerance.max_logit_difference
    if difference is None:
        yield "some logits are not finite"
    elif allowed is not None and difference > allowed:
        yield f"max |logit difference| is {difference:.3g}, allowed {allowed:g}"
    most = tolerance.max_flipped_decisions
    flipped = comparison.flipped_decisions_all_policies
    if most is not None and flipped > most:
        where = ", ".join(f"{count} under {name}" for name, count in comparison.flipped_by_policy.items() if count)
        yield f"{flipped} decisions flipped ({where}), allowed {most}"
    for kind, trained, exported, limit in (
        ("macro", comparison.macro_f1_trained, comparison.macro_f1, tolerance.max_macro_f1_loss),
        ("micro", comparison.micro_f1_trained, comparison.micro_f1, tolerance.max_micro_f1_loss),
    ):
        if trained - exported > limit:
            yield f"{kind} F1 falls by {trained - exported:.5f} (from {trained:.4f}), allowed {limit:g}"


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
        "bytes": sum(file.stat().st_size for file in model_files(path)),
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
        if logits.shape == reference.logits.shape and not bundle.task.decides:
            judged, problems = judge_intensities(bundle, reference, logits, precision)
            report |= {**judged, "self_check": record_self_check(reference.texts, predictor.logits)}
        elif logits.shape == reference.logits.shape:
            comparison = compare(bundle, reference, logits, tolerance)
            report |= {
                **asdict(comparison),
                "flipped_decisions": comparison.flipped_decisions,
                "flipped_decisions_all_policies": comparison.flipped_decisions_all_policies,
                "metrics_trained": reference_metrics(bundle, reference, reference.logits),
                "self_check": record_self_check(reference.texts, predictor.logits),
            }
            if comparison.max_logit_difference is not None:
                report["metrics"] = reference_metrics(bundle, reference, logits)
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
        "versions": package_versions(PACKAGES),
        "precisions": dict(reports),
    }


def summarise(precision: str, report: Mapping[str, Any]) -> str:
    """A model's verdict and metrics as one line for a person."""
    head = f"{precision}: {'passed' if report['passed'] else 'FAILED'}, {report['file']} {report['bytes'] / 1e6:.1f} MB"
    parts, policies = [head], len(report.get("flipped_by_policy", ()))
    if "moved_intensities" in report:
        parts += summarise_intensities(report)
    elif "rows" in report:
        difference = report["max_logit_difference"]
        parts += [
            f"{report['rows']} {report['split']} rows",
            f"max |logit difference| {'not finite' if difference is None else format(difference, '.2g')}",
            f"{report['flipped_decisions']} of {report['decisions']} decisions flipped under policy {report['policy']}",
            f"{report['flipped_decisions_all_policies']} under all {policies} policies together",
            f"macro F1 {report['macro_f1']:.4f} (trained {report['macro_f1_trained']:.4f})",
            f"micro F1 {report['micro_f1']:.4f} (trained {report['micro_f1_trained']:.4f})",
        ]
    budget = report.get("flip_budget")
    if budget:
        kept = "within" if budget["kept"] else "MORE THAN"
        may = "flip" if "flipped_decisions" in report else "move"
        parts.append(f"{kept} the {budget['allowed']} that may {may}; {len(report['left_out'])} parts left in fp32")
    return ", ".join(parts) + "".join(f"\n  {reason}" for reason in report["failures"])
