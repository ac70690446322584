"""Losses of intensities: of shares of a bounded scale, and of the levels of an ordinal one.

Shapes: N examples, L labels, K levels. Targets are shares 0..1 of the scale, so that level k of an ordinal scale is
k / (K-1). An ordinal head gives K-1 logits a label: those of Y > 0, Y > 1, ..., Y > K-2, falling.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import logsigmoid

from training.losses.elementwise import Loss, masked_mean

SMALLEST_GAP = 1e-6
"""Between two cuts, in logits: the probability of the level between them stays above 0."""


def mean_squared_error(logits: Tensor, targets: Tensor) -> Tensor:
    """(sigmoid(z) - y)^2 of logits z and shares y, both (N, L); shape (N, L)."""
    return (torch.sigmoid(logits) - targets) ** 2


def cumulative_link() -> Loss:
    """-log P(Y = y) of the proportional-odds model, P(Y > k) = sigmoid(z_k), averaged as the other losses are.

    McCullagh 1980, "Regression models for ordinal data", JRSS B 42, section 2: one slope for all cuts, so that
    z_k = z - cut_k; the probability of the level between two cuts is sigmoid(a) - sigmoid(b) =
    sigmoid(a) sigmoid(-b) (1 - exp(b - a)), whose logarithm stays finite.
    """

    def loss(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        above = _above(logits, targets)
        count = above.shape[-1]
        level = _levels(targets, count).unsqueeze(-1)
        ends = above.new_full((*above.shape[:-1], 1), float("inf"))
        padded = torch.cat([ends, above, -ends], dim=-1)  # P(Y > -1) = 1 and P(Y > K-1) = 0
        upper, lower = padded.gather(-1, level).squeeze(-1), padded.gather(-1, level + 1).squeeze(-1)
        gap = (upper - lower).clamp(min=SMALLEST_GAP)
        log_p = logsigmoid(upper) + logsigmoid(-lower) + torch.log(-torch.expm1(-gap))
        return masked_mean(-log_p, known)

    return loss


def coral() -> Loss:
    """Sum over k of the binary cross-entropy of Y > k, averaged as the other losses are.

    Cao, Mirjalili & Raschka 2020, "Rank consistent ordinal regression for neural networks" (CORAL), Pattern Recognition
    Letters 140, equation 4 with all weights 1.
    """

    def loss(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        above = _above(logits, targets)
        count = above.shape[-1]
        truth = (_levels(targets, count).unsqueeze(-1) > torch.arange(count, device=above.device)).to(above.dtype)
        losses = functional.binary_cross_entropy_with_logits(above, truth, reduction="none").sum(dim=-1)
        return masked_mean(losses, known)

    return loss


def _above(logits: Tensor, targets: Tensor) -> Tensor:
    """Logits of Y > k in float32, shape (N, L, K-1), of the head's (N, L * (K-1))."""
    return logits.float().reshape(*targets.shape, -1)


def _levels(targets: Tensor, count: int) -> Tensor:
    """Level numbers 0..K-1, shape (N, L), of shares of the scale."""
    return (targets.float() * count).round().long().clamp(0, count)
