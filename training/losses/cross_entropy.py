"""Cross-entropy: binary for every label, weighted or not, and softmax for tasks with one label a text.

Shapes: N examples, L labels.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from training.losses.class_weights import LabelWeights
from training.losses.masked import EntryLoss, Loss


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
