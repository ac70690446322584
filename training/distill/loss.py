"""Learning from a teacher's logits beside the labels.

Shapes: N examples, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional

from training.losses.masked import masked_mean


@dataclass(frozen=True)
class Distillation:
    """(1 - w) x loss on the labels + w x T^2 x cross-entropy of the student's probabilities with the teacher's at T.

    Hinton et al. 2015, https://arxiv.org/abs/1503.02531, section 2: T^2 keeps the size of the gradient whatever T is;
    for one label it is w T (sigmoid(z / T) - sigmoid(teacher / T)). Entries that are unknown have no part in it.

    Attributes:
        weight: w, in 0..1; 0 is training alone.
        temperature: T, above 0.
        activation: `sigmoid` for every label by itself, `softmax` for one label a text.
    """

    weight: float
    temperature: float
    activation: Literal["sigmoid", "softmax"] = "sigmoid"

    def __call__(self, loss: Tensor, logits: Tensor, teacher: Tensor, known: Tensor) -> Tensor:
        """The mixed loss, a scalar.

        Args:
            loss: on the labels, a scalar.
            logits: of the student, shape (N, L).
            teacher: its logits, shape (N, L).
            known: entries to learn from, shape (N, L).
        """
        if not self.weight:
            return loss
        student, taught = logits.float() / self.temperature, teacher.float() / self.temperature
        cross_entropy = _softmax if self.activation == "softmax" else _sigmoid
        return (1.0 - self.weight) * loss + self.weight * self.temperature**2 * cross_entropy(student, taught, known)


def _sigmoid(student: Tensor, taught: Tensor, known: Tensor) -> Tensor:
    losses = functional.binary_cross_entropy_with_logits(student, taught.sigmoid(), reduction="none")
    return masked_mean(losses, known)


def _softmax(student: Tensor, taught: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy over the known labels of every row, averaged over N; a row without any counts 0."""
    hidden = ~known & known.any(dim=1, keepdim=True)
    shares = taught.masked_fill(hidden, float("-inf")).softmax(dim=1)
    log_p = student.masked_fill(hidden, float("-inf")).log_softmax(dim=1)
    return -(shares * log_p.masked_fill(~known, 0.0)).sum(dim=1).mean()
