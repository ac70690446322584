"""The softmax of the attention is torch's at every length, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from shared.fast_deberta.cpu_kernels import softmax, softmax_gradient

LENGTHS = [1, 2, 12, 15, 16, 17, 24, 31, 32, 33, 48, 128]
TOLERANCE = {torch.float64: 1e-14, torch.float32: 1e-6, torch.bfloat16: 1e-2, torch.float16: 1e-3}


def scores_of(length: int, dtype: torch.dtype, *, blocked: bool = False) -> Tensor:
    torch.manual_seed(length)
    scores = torch.randn(2, 3, length, length).mul_(4).to(dtype)
    if blocked:
        lowest = torch.finfo(dtype).min
        scores[0, :, :, length // 2 :] = lowest
        scores[1, :, -1] = lowest  # a query that is padding: all keys alike
    return scores


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
def test_weights_are_those_of_torch(length: int, blocked: bool, dtype: torch.dtype) -> None:
    scores = scores_of(length, dtype, blocked=blocked)
    weights = softmax(scores)
    assert weights.dtype == dtype
    assert weights.is_contiguous()
    torch.testing.assert_close(
        weights.double(), torch.softmax(scores.double(), dim=-1), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype]
    )


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("length", LENGTHS)
def test_gradient_is_that_of_torch(length: int, dtype: torch.dtype) -> None:
    weights = softmax(scores_of(length, dtype))
    grad = torch.randn_like(weights)
    expected = torch._softmax_backward_data(grad.double(), weights.double(), -1, torch.float64)
    actual = softmax_gradient(grad.clone(), weights)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.double(), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("length", [12, 24, 48])
def test_rows_of_a_gradient_sum_to_nothing_in_half_precision(length: int) -> None:
    """An error common to a row would move all of a query's scores: 0.34 here, with the sum in bfloat16."""
    weights = softmax(scores_of(length, torch.bfloat16))
    grad = softmax_gradient(torch.randn_like(weights) + 64, weights)
    assert grad.double().sum(-1).abs().max() < 0.2


def test_negative_infinity_is_no_weight() -> None:
    scores = scores_of(5, torch.float32)
    scores[..., 3:] = -torch.inf
    assert torch.equal(softmax(scores)[..., 3:], torch.zeros(2, 3, 5, 2))
    torch.testing.assert_close(softmax(scores).sum(-1), torch.ones(2, 3, 5))
