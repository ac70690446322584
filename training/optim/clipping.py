"""Clipping of the gradients' norm."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """The norm of all gradients together, which are scaled down to `max_norm` where it is larger.

    The gradients are to the last bit those of `torch.nn.utils.clip_grad_norm_`, which multiplies with 1 where nothing
    is clipped: once a training has settled, in almost every step. Not for a GPU, where to look at the norm is to wait
    for it.
    """
    parameters = list(parameters)
    norm = torch.nn.utils.get_total_norm([weight.grad for weight in parameters if weight.grad is not None])
    # torch's own factor; a norm that is not finite is left to torch too
    if not bool(max_norm / (norm + 1e-6) >= 1.0):
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
    return norm
