"""Losses over logits and multi-hot targets; entries that nobody annotated have no part in them.

Shapes: N examples, L labels.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from training.config import LossConfig

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From logits, targets and known entries, each of shape (N, L), to a scalar."""


def build_loss(config: LossConfig) -> Loss:
    """The loss that `config` names."""
    return {"bce": bce_with_logits}[config.name]


def bce_with_logits(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy -[y log p + (1 - y) log(1 - p)], p = sigmoid(z), in float32.

    Args:
        logits: z, shape (N, L).
        targets: y, 0/1 or shares in 0..1, shape (N, L).
        known: entries that were annotated, shape (N, L); the others get a gradient of exactly 0.

    Returns:
        The mean over all N x L entries, unknown ones counting 0, so that an entry weighs the same in every batch and
        accumulated gradients equal those of one large batch.
    """
    return masked_mean(functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none"), known)


def masked_mean(losses: Tensor, known: Tensor) -> Tensor:
    """Sum of the known entries over the number of all entries, of losses of shape (N, L)."""
    return losses.masked_fill(~known, 0.0).mean()
