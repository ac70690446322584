"""Focal loss: entries that are already right count little.

Shapes: N examples, L labels.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from training.losses.masked import EntryLoss


def focal(gamma: float = 2.0, alpha: float | None = None) -> EntryLoss:
    """-a (1 - p)^g log p for positives and -(1 - a) p^g log(1 - p) for negatives, p = sigmoid(z).

    Lin et al. 2017, https://arxiv.org/abs/1708.02002, equation 5; targets between 0 and 1 mix both terms.

    Args:
        gamma: g; 0 gives binary cross-entropy.
        alpha: a; both weights are 1 when None.
    """
    positive_weight, negative_weight = (1.0, 1.0) if alpha is None else (alpha, 1.0 - alpha)

    def entry_loss(logits: Tensor, targets: Tensor) -> Tensor:
        log_p, log_not_p = logsigmoid(logits), logsigmoid(-logits)
        # powers as exp(g log ...): their gradient stays finite where p rounds to 0 or 1
        positive = -positive_weight * (gamma * log_not_p).exp() * log_p
        negative = -negative_weight * (gamma * log_p).exp() * log_not_p
        return targets * positive + (1.0 - targets) * negative

    return entry_loss
