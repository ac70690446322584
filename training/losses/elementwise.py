"""Losses of every entry, their mean over what was annotated, and the softmax of tasks with one label a text.

Shapes: N examples, L labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import logsigmoid

from training.losses.class_weights import LabelWeights

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From logits, targets and known entries, each of shape (N, L), to a scalar."""

EntryLoss = Callable[[Tensor, Tensor], Tensor]
"""From float32 logits and targets in 0..1, both of shape (N, L), to the loss of every entry, shape (N, L)."""


def masked_mean(losses: Tensor, known: Tensor) -> Tensor:
    """Sum of the known entries over the number of all entries, of losses of shape (N, L).

    An entry weighs the same in every batch, however many of its neighbours are unknown, so that accumulated gradients
    equal those of one large batch. Unknown entries get a gradient of exactly 0.
    """
    return losses.masked_fill(~known, 0.0).mean()


def over_known_entries(entry_loss: EntryLoss, smoothing: float = 0.0) -> Loss:
    """The mean of `entry_loss` over known entries, computed in float32.

    Args:
        entry_loss: loss of every entry.
        smoothing: e of label smoothing (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567), here with the two
            classes yes and no: y becomes y (1 - e) + e / 2.
    """

    def loss(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        smooth = targets if not smoothing else targets * (1.0 - smoothing) + 0.5 * smoothing
        return masked_mean(entry_loss(logits.float(), smooth), known)

    return loss


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """-[y log p + (1 - y) log(1 - p)] with p = sigmoid(z), of logits z and targets y, both (N, L); shape (N, L)."""
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def weighted_binary_cross_entropy(weights: LabelWeights) -> EntryLoss:
    """-[w1 y log p + w0 (1 - y) log(1 - p)] with weights w1 of positives and w0 of negatives, each of shape (L,)."""

    def entry_loss(logits: Tensor, targets: Tensor) -> Tensor:
        positive, negative = weights.positive.to(logits.device), weights.negative.to(logits.device)
        log_p, log_not_p = functional.logsigmoid(logits), functional.logsigmoid(-logits)
        return -(positive * targets * log_p + negative * (1.0 - targets) * log_not_p)

    return entry_loss


def softmax_cross_entropy(smoothing: float = 0.0) -> Loss:
    """-sum_l y_l log softmax(z)_l, averaged over N rows, for rows with exactly one label (or shares that add up to 1).

    A row's unknown labels have no part in its softmax, so their gradient is exactly 0; a row whose label is not among
    its known ones counts 0.

    Args:
        smoothing: e of label smoothing: y becomes y (1 - e) + e / K over the K known labels of the row.
    """

    def loss(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        hidden = ~known
        targets = targets.masked_fill(hidden, 0.0)
        total = targets.sum(dim=1, keepdim=True)
        usable = total > 0
        # a row without any known label keeps finite logits, or its softmax would be 0 / 0
        log_p = logits.float().masked_fill(hidden & usable, float("-inf")).log_softmax(dim=1)
        shares = targets / total.clamp(min=1e-12)
        if smoothing:
            spread = known / known.sum(dim=1, keepdim=True).clamp(min=1)
            shares = shares * (1.0 - smoothing) + smoothing * spread
        rows = -(shares * log_p.masked_fill(hidden, 0.0)).sum(dim=1, keepdim=True)
        return rows.masked_fill(~usable, 0.0).mean()

    return loss


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


def weighted_sum(terms: Sequence[tuple[float, EntryLoss]]) -> EntryLoss:
    """The sum of weight x loss over `terms`; those of weight 0 are not computed."""
    used = [(weight, entry_loss) for weight, entry_loss in terms if weight]

    def entry_loss(logits: Tensor, targets: Tensor) -> Tensor:
        total = logits.new_zeros(logits.shape)
        for weight, term in used:
            total = total + weight * term(logits, targets)
        return total

    return entry_loss


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
