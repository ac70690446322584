"""Softmax over short rows of a CPU's attention scores, forward and backward.

PyTorch's kernels go number by number through rows shorter than a vector, and backward in half precision through rows
shorter than a vector of halves: a number in a row of 12 takes ten times as long as one in a row of 16.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_VECTOR = 16  # numbers in float32


def softmax(scores: Tensor) -> Tensor:
    """Softmax over the last dimension, contiguous, in the type of `scores`; half precision goes through float32."""
    dtype, length = _wider(scores.dtype), scores.shape[-1]
    if length >= _VECTOR:
        return torch.softmax(scores, dim=-1, dtype=dtype).to(scores.dtype)
    padded = scores.new_full((*scores.shape[:-1], _VECTOR), -math.inf, dtype=dtype)
    padded[..., :length] = scores
    return torch.softmax(padded, dim=-1)[..., :length].to(scores.dtype).contiguous()


def softmax_gradient(grad: Tensor, weights: Tensor) -> Tensor:
    """Gradient of the scores, `W (dW - sum(W dW))` with the sum over the last dimension.

    Args:
        grad: dW, the gradient of the weights; it is written over.
        weights: W, what `softmax` gave.
    """
    dtype, length = weights.dtype, weights.shape[-1]
    wider = _wider(dtype)
    if length < _VECTOR:
        # the sum in float32, as its error is common to the whole row
        total = grad.mul_(weights).sum(-1, keepdim=True, dtype=wider)
        return grad.addcmul_(weights, total, value=-1)
    if length * weights.element_size() < _VECTOR * wider.itemsize:
        return torch._softmax_backward_data(grad.to(wider), weights.to(wider), -1, wider).to(dtype)
    return torch._softmax_backward_data(grad, weights, -1, dtype)


def _wider(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
