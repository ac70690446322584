"""What each precision may lose against the trained model."""

from __future__ import annotations

from dataclasses import asdict, dataclass


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
