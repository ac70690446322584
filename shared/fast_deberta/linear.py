"""Linear layers in float32 by way of oneDNN.

PyTorch takes oneDNN for half precision alone and MKL for float32, which on processors that are not Intel's does without
AVX-512: on Zen 5 that is half the speed, in all three products of a layer and at all sizes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from shared.fast_deberta.dropout import is_traced

_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_linear_pointwise"
)


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
