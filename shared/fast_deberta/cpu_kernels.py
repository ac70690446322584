"""Dropout, linear layers and softmax for a CPU: the functions of PyTorch, from kernels that suit these shapes.

Dropout: drawing one Bernoulli number per element costs most of it, so one 64-bit random number serves many elements.

Linear layers in float32 go by way of oneDNN: PyTorch takes oneDNN for half precision alone and MKL for float32, which
on processors that are not Intel's does without AVX-512: on Zen 5 that is half the speed, in all three products of a
layer and at all sizes.

Softmax over short rows of attention scores: PyTorch's kernels go number by number through rows shorter than a vector,
and backward in half precision through rows shorter than a vector of halves: a number in a row of 12 takes ten times as
long as one in a row of 16.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}

_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_linear_pointwise"
)

_VECTOR = 16  # numbers in float32


def keep_mask(like: Tensor, probability: float) -> Tensor:
    """Ones where an element of `like` is kept and zeros elsewhere, as integers of the width of its elements.

    One 64-bit random number serves 64 bits of `like`. The probability is a multiple of 2^-16 for 16-bit elements.
    """
    dtype = _BITS[like.element_size()]
    per_word = 8 // like.element_size()
    words = torch.empty(-(-like.numel() // per_word), dtype=torch.int64, device=like.device)
    words.random_(-(2**63), None)
    return words.view(dtype)[: like.numel()].view(like.shape).ge_(_threshold(dtype, probability))


def kept_fraction(like: Tensor, probability: float) -> float:
    """The exact expectation of `keep_mask`."""
    limits = torch.iinfo(_BITS[like.element_size()])
    return (limits.max + 1 - _threshold(limits.dtype, probability)) / (limits.max + 1 - limits.min)


def apply_mask(x: Tensor, mask: Tensor) -> Tensor:
    """`x`, contiguous, where `mask` is one and +0 elsewhere, by integer arithmetic on its bits."""
    return (x.view(mask.dtype) * mask).view(x.dtype)


def is_traced() -> bool:
    """Whether an exporter or compiler is recording, which sees through plain operators alone."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()  # type: ignore[attr-defined]


def _threshold(dtype: torch.dtype | str, probability: float) -> int:
    limits = torch.iinfo(dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype))
    return limits.min + round(probability * 2**limits.bits)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, probability: float) -> Tensor:
        x = x.contiguous()
        mask = keep_mask(x, probability)
        ctx.save_for_backward(mask)
        ctx.scale = 1.0 / kept_fraction(x, probability)
        return apply_mask(x, mask).mul_(ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return apply_mask(grad.contiguous(), mask).mul_(ctx.scale), None


class FastDropout(nn.Dropout):
    """`nn.Dropout` whose elements are kept independently and with the same probability, from fewer random bits."""

    def forward(self, x: Tensor) -> Tensor:
        """`x` with elements dropped and the others scaled up, in training; `x` itself otherwise."""
        usual = x.device.type != "cpu" or self.inplace or not x.is_floating_point() or not 0 < self.p < 1
        if not self.training or usual or is_traced():
            return super().forward(x)
        return _Dropout.apply(x, self.p)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ weight^T + bias`, shape (..., O), of x (..., I) and weight (O, I), of any strides."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        rows = grad.flatten(0, -2)
        return (
            _product(grad, weight.t()) if needs_x else None,
            _product(rows.t(), x.flatten(0, -2).t()) if needs_weight else None,
            rows.sum(0) if needs_bias else None,
        )


class FastLinear(nn.Linear):
    """`nn.Linear` whose products in float32 on a CPU are oneDNN's."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape (..., O), of `input` (..., I)."""
        if is_traced() or not self._is_meant(input):
            return super().forward(input)
        if torch.is_grad_enabled():
            return _Linear.apply(input, self.weight, self.bias)  # type: ignore[no-any-return]
        return _product(input, self.weight, self.bias)

    def _is_meant(self, x: Tensor) -> bool:
        usual = x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or x.dim() < 2 or x.numel() == 0
        return _HAS_ONEDNN and not usual and x.dtype == self.weight.dtype == torch.float32


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
