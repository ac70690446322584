"""What a user can say about the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jsonargparse.typing import ClosedUnitInterval, NonNegativeFloat, PositiveFloat


@dataclass(frozen=True)
class LossConfig:
    """What is minimised."""

    name: Literal["bce", "weighted_bce", "focal", "asymmetric", "combined", "cross_entropy"] = "bce"
    """"bce": binary cross-entropy of every known label; "combined": asymmetric, focal and a share of bce;
    "cross_entropy": softmax, for tasks where a text has exactly one label."""
    smoothing: ClosedUnitInterval = 0.0
    """Label smoothing e: targets 0 and 1 become e/2 and 1 - e/2 (cross_entropy: e is spread over all L labels)."""
    weighting: Literal["inverse_frequency", "balanced"] = "inverse_frequency"
    """weighted_bce: positives of a label weigh rows / positives; "balanced": scikit-learn's rows / (2 count), for
    positives and negatives."""
    weight_cap: PositiveFloat = 10.0
    """weighted_bce: largest weight."""
    gamma: NonNegativeFloat = 2.0
    """focal, combined: focusing exponent; 0 is bce."""
    alpha: ClosedUnitInterval | None = None
    """focal, combined: weight of positives, 1 - alpha that of negatives (the paper's 0.25); both 1 when left out."""
    gamma_negative: NonNegativeFloat = 4.0
    """asymmetric, combined: focusing exponent of negatives."""
    gamma_positive: NonNegativeFloat = 1.0
    """asymmetric, combined: focusing exponent of positives."""
    margin: ClosedUnitInterval = 0.05
    """asymmetric, combined: negatives with a probability up to this count nothing."""
    detach_focus: bool = False
    """asymmetric, combined: take the focusing weight as a constant in the backward pass."""
    ratio: ClosedUnitInterval = 0.7
    """combined: share of asymmetric; focal has the rest (0.7, 0.5 and 0.3 are usual)."""
    bce_share: NonNegativeFloat = 0.2
    """combined: bce is added with this weight."""

    @property
    def task(self) -> Literal["multi_label", "single_label"]:
        """Whether a text has exactly one label."""
        return "single_label" if self.name == "cross_entropy" else "multi_label"

    @property
    def activation(self) -> Literal["sigmoid", "softmax"]:
        """What turns logits into probabilities."""
        return "softmax" if self.task == "single_label" else "sigmoid"
