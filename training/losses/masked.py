"""The form that all losses have, and their mean over what was annotated.

Shapes: N examples, L labels.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

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
