"""Dropout with cheap random bits, for CPUs, where drawing one Bernoulli number per element costs most of a dropout."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


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
