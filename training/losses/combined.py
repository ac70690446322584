"""Several losses as one weighted sum."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from training.losses.masked import EntryLoss


def weighted_sum(terms: Sequence[tuple[float, EntryLoss]]) -> EntryLoss:
    """The sum of weight x loss over `terms`; those of weight 0 are not computed."""
    used = [(weight, entry_loss) for weight, entry_loss in terms if weight]

    def entry_loss(logits: Tensor, targets: Tensor) -> Tensor:
        total = logits.new_zeros(logits.shape)
        for weight, term in used:
            total = total + weight * term(logits, targets)
        return total

    return entry_loss
