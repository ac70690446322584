"""Whether an exported model of intensities gives those of the trained one, on the bundle's reference rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.bundle import Bundle
from shared.errors import BundleFormatError
from shared.intensity_metrics import evaluate_intensities
from shared.reference import Reference

MOVED = 0.05
"""Share of the scale that an intensity must move by to count as moved: what the budget of int8 counts."""


@dataclass(frozen=True)
class IntensityTolerance:
    """Limits of one precision.

    Attributes:
        max_logit_difference: largest |logit - trained logit|; None for no limit.
        max_intensity_difference: largest |intensity - trained intensity| as a share of the scale; None for no limit.
        rms_intensity_difference: root mean square of the same.
        max_pearson_loss: most that the mean of the labels' Pearson may fall by.
    """

    max_logit_difference: float | None
    max_intensity_difference: float | None
    rms_intensity_difference: float
    max_pearson_loss: float


INTENSITY_TOLERANCES: dict[str, IntensityTolerance] = {
    "fp32": IntensityTolerance(1e-4, 1e-4, 1e-4, 1e-4),
    "int8": IntensityTolerance(None, None, 0.02, 0.005),
    "fp16": IntensityTolerance(5e-2, 2e-2, 5e-3, 0.002),
}
"""As for labels: fp32 must be the same function, fp16 holds eleven bits, int8 is judged by what it answers."""


def judge_intensities(
    bundle: Bundle, reference: Reference, logits: NDArray[np.float32], precision: str
) -> tuple[dict[str, Any], list[str]]:
    """The part of a report that compares the intensities of N rows, and what is out of tolerance.

    Args:
        bundle: of the task intensity.
        reference: the rows, with the trained logits and the annotated intensities.
        logits: of the exported model, shape (N, L).
        precision: decides the tolerance.

    Raises:
        BundleFormatError: when the reference holds no intensities.
    """
    readout, tolerance = bundle.readout, INTENSITY_TOLERANCES[precision]
    if readout is None or reference.shares is None:
        raise BundleFormatError(f"reference.npz of {bundle.path} holds no intensities.")
    finite = bool(np.isfinite(logits).all())
    trained, found = readout.intensities(reference.logits), readout.intensities(np.nan_to_num(logits))
    moved = np.abs(readout.scale.shares(found) - readout.scale.shares(trained))
    metrics = {name: _metrics(bundle, reference, of) for name, of in (("trained", reference.logits), ("found", logits))}
    report: dict[str, Any] = {
        "rows": len(logits),
        "split": reference.split,
        "tolerances": asdict(tolerance),
        "max_logit_difference": float(np.abs(logits - reference.logits).max(initial=0.0)) if finite else None,
        "max_intensity_difference": float(moved.max(initial=0.0)) if finite else None,
        "rms_intensity_difference": float(np.sqrt(np.mean(moved**2))) if finite else None,
        "moved_intensities": int((moved > MOVED).sum()),
        "intensities": int(moved.size),
        "metrics_trained": metrics["trained"],
        "metrics": metrics["found"] if finite else None,
    }
    return report, list(_failures(report, tolerance))


def _metrics(bundle: Bundle, reference: Reference, logits: NDArray[np.float32]) -> dict[str, Any]:
    readout = bundle.readout
    assert readout is not None
    assert reference.shares is not None
    result = evaluate_intensities(
        readout.scale.values(reference.shares), readout.intensities(np.nan_to_num(logits)), reference.known,
        readout.labels, readout.scale,
    )  # fmt: skip
    return {"split": reference.split, **{name: result[name] for name in ("num_examples", "pearson", "spearman", "mae")}}


def _failures(report: Mapping[str, Any], tolerance: IntensityTolerance) -> Iterator[str]:
    """What is out of tolerance, a phrase with both values each."""
    if report["max_logit_difference"] is None:
        yield "some logits are not finite"
        return
    for name, words in {
        "max_logit_difference": "max |logit difference|",
        "max_intensity_difference": "an intensity moves by a share of the scale that",
        "rms_intensity_difference": "the root mean square of what intensities move by, as a share of the scale,",
    }.items():
        allowed, value = getattr(tolerance, name), report[name]
        if allowed is not None and value > allowed:
            yield f"{words} is {value:.3g}, allowed {allowed:g}"
    before, after = report["metrics_trained"]["pearson"], report["metrics"]["pearson"]
    if before is not None and (after is None or before - after > tolerance.max_pearson_loss):
        said = "undefined" if after is None else f"{before - after:.5f} lower"
        yield f"Pearson is {said} (from {before:.4f}), allowed {tolerance.max_pearson_loss:g}"


def deviations(report: Mapping[str, Any]) -> int:
    """What the budget of int8 counts: decisions that flip, or intensities that move."""
    return int(report["moved_intensities"] if "moved_intensities" in report else report["flipped_decisions"])


def summarise_intensities(report: Mapping[str, Any]) -> list[str]:
    """What a report says of intensities, in parts of a line."""
    parts = [f"{report['rows']} {report['split']} rows"]
    for name, words in {
        "max_logit_difference": "max |logit difference|", "max_intensity_difference": "max share of the scale moved",
        "rms_intensity_difference": "rms",
    }.items():  # fmt: skip
        parts.append(f"{words} {'not finite' if report[name] is None else format(report[name], '.2g')}")
    parts.append(f"{report['moved_intensities']} of {report['intensities']} intensities moved by more than {MOVED:.0%}")
    before, after = report["metrics_trained"]["pearson"], (report["metrics"] or {}).get("pearson")
    return [*parts, f"Pearson {_shown(after)} (trained {_shown(before)})"]


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
