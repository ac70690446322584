"""An exported model against the trained one, on the same rows: logits, decisions and F1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.exporting.tolerances import Tolerance
from shared.bundle import Bundle, Reference
from shared.metrics import macro_f1, micro_f1
from shared.thresholds import decide

SIGMOID_SLOPE = 0.25
"""The steepest a sigmoid, or a softmax in one of its logits, can be."""


@dataclass(frozen=True)
class Comparison:
    """Exported against trained, on N rows.

    Attributes:
        rows: N.
        split: the split they come from.
        policy: the decision policy of the F1 values, the bundle's default.
        max_logit_difference: over all rows and labels; None where a logit is not finite.
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
    flipped_by_policy: Mapping[str, int]
    macro_f1: float
    macro_f1_trained: float
    micro_f1: float
    micro_f1_trained: float

    @property
    def flipped_decisions(self) -> int:
        """Decisions that differ beyond rounding, all policies together."""
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
    flipped = {}
    for name, thresholds in bundle.policies.values.items():
        before, after = decide(trained, thresholds), _settled(found, trained, thresholds, rounding)
        flipped[name] = int((before != after).sum())
    thresholds = bundle.policies.get()
    before, after = decide(trained, thresholds), _settled(found, trained, thresholds, rounding)
    truth, known = reference.labels, reference.known
    return Comparison(
        rows=len(logits),
        split=reference.split,
        policy=bundle.policies.default,
        max_logit_difference=float(np.abs(logits - reference.logits).max(initial=0.0)) if finite else None,
        flipped_by_policy=flipped,
        macro_f1=macro_f1(truth, after, known),
        macro_f1_trained=macro_f1(truth, before, known),
        micro_f1=micro_f1(truth, after, known),
        micro_f1_trained=micro_f1(truth, before, known),
    )


def _settled(
    found: NDArray[np.float64],
    trained: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    rounding: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Decisions on `found`, those within rounding of their threshold taken from `trained`."""
    close = np.abs(trained - thresholds) <= rounding
    return np.where(close, decide(trained, thresholds), decide(found, thresholds))


def failures(comparison: Comparison, tolerance: Tolerance) -> Iterator[str]:
    """What is out of tolerance, a phrase with both figures each."""
    difference, allowed = comparison.max_logit_difference, tolerance.max_logit_difference
    if difference is None:
        yield "some logits are not finite"
    elif allowed is not None and difference > allowed:
        yield f"max |logit difference| is {difference:.3g}, allowed {allowed:g}"
    most = tolerance.max_flipped_decisions
    if most is not None and comparison.flipped_decisions > most:
        where = ", ".join(f"{count} under {name}" for name, count in comparison.flipped_by_policy.items() if count)
        yield f"{comparison.flipped_decisions} decisions flipped ({where}), allowed {most}"
    for kind, trained, exported, limit in (
        ("macro", comparison.macro_f1_trained, comparison.macro_f1, tolerance.max_macro_f1_loss),
        ("micro", comparison.micro_f1_trained, comparison.micro_f1, tolerance.max_micro_f1_loss),
    ):
        if trained - exported > limit:
            yield f"{kind} F1 falls by {trained - exported:.5f} (from {trained:.4f}), allowed {limit:g}"
