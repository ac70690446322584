"""Asymmetric loss: easy negatives count little or nothing, so that rare positives weigh more.

Shapes: N examples, L labels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from training.losses.masked import EntryLoss


def asymmetric(
    gamma_negative: float = 4.0, gamma_positive: float = 1.0, margin: float = 0.05, *, detach_focus: bool = False
) -> EntryLoss:
    """L+ = -(1 - p)^g+ log p for positives; L- = -pm^g- log(1 - pm), pm = max(p - m, 0), for negatives; p = sigmoid(z).

    Ben-Baruch et al. 2020, https://arxiv.org/abs/2009.14119, equations 4 to 7; targets between 0 and 1 mix both terms.

    Args:
        gamma_negative: g-.
        gamma_positive: g+.
        margin: m; a negative with p <= m has loss and gradient 0.
        detach_focus: no gradient through the focusing weights (1 - p)^g+ and pm^g-, as the authors' code allows.
    """

    def entry_loss(logits: Tensor, targets: Tensor) -> Tensor:
        # a power as exp(g log ...): its gradient stays finite where p rounds to 0 or 1
        log_p, positive_focus = logsigmoid(logits), (gamma_positive * logsigmoid(-logits)).exp()
        if margin:
            negative_focus, log_rest = _shifted(logits, gamma_negative, margin)
        else:
            negative_focus, log_rest = (gamma_negative * log_p).exp(), logsigmoid(-logits)
        if detach_focus:
            positive_focus, negative_focus = positive_focus.detach(), negative_focus.detach()
        return -(targets * positive_focus * log_p + (1.0 - targets) * negative_focus * log_rest)

    return entry_loss


def _shifted(logits: Tensor, gamma: float, margin: float) -> tuple[Tensor, Tensor]:
    """pm^g and log(1 - pm); where p <= m the second is 0 and neither has a gradient, not even of a root at 0."""
    shifted = torch.sigmoid(logits) - margin
    counts = shifted > 0
    shifted = shifted.where(counts, torch.ones_like(shifted))  # log(1 - pm) of p <= m is not used, so neither is -inf
    focus = shifted.pow(gamma)
    return focus, torch.log1p(-shifted.where(counts, torch.zeros_like(shifted)))
