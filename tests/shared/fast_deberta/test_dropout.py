"""The fast dropout has the distribution of the usual one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shared.fast_deberta.cpu_kernels import FastDropout, apply_mask, keep_mask, kept_fraction

DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_elements_are_kept_with_the_probability_asked_for(dtype: torch.dtype, probability: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(999, 101, dtype=dtype)
    mask = keep_mask(x, probability)
    assert mask.shape == x.shape
    assert set(mask.unique().tolist()) == {0, 1}
    assert kept_fraction(x, probability) == pytest.approx(1 - probability, abs=1e-5)
    deviation = (probability * (1 - probability) / x.numel()) ** 0.5
    assert abs(mask.double().mean() - (1 - probability)) < 5 * deviation
    pairs = (mask[:, 1:] * mask[:, :-1]).double().mean()  # neighbours come from one random word
    assert abs(pairs - (1 - probability) ** 2) < 0.01


@pytest.mark.parametrize("dtype", DTYPES)
def test_mask_keeps_or_clears_every_bit(dtype: torch.dtype) -> None:
    x = torch.tensor([1.5, -2.0, float("nan"), float("inf"), -0.0, 3.0], dtype=dtype)
    mask = torch.tensor([1, 0, 0, 0, 0, 1]).to(keep_mask(x, 0.5).dtype)
    assert torch.equal(apply_mask(x, mask), torch.tensor([1.5, 0, 0, 0, 0, 3.0], dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_expectation_is_unchanged_and_gradients_follow_the_mask(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.full((400, 250), 2.0, dtype=dtype, requires_grad=True)
    y = FastDropout(0.2).train()(x)
    assert y.detach().double().mean() == pytest.approx(2.0, rel=0.01)
    (y * 3).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.where(y.detach() == 0, 0.0, 3 / 0.8).to(dtype))


def test_same_seed_draws_the_same_elements() -> None:
    x, dropout = torch.randn(50, 7), FastDropout(0.4).train()
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(dropout(x))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_views_that_are_not_contiguous_are_dropped_alike() -> None:
    x = torch.randn(6, 40).t().requires_grad_()
    y = FastDropout(0.5).train()(x)
    assert torch.equal(y[y != 0], (2 * x)[y != 0])


def test_does_nothing_in_evaluation_and_without_probability() -> None:
    x = torch.randn(5, 5)
    assert FastDropout(0.5).eval()(x) is x
    assert torch.equal(FastDropout(0.0).train()(x), x)


def test_everything_is_dropped_at_probability_one() -> None:
    assert not FastDropout(1.0).train()(torch.ones(9)).any()


def test_is_an_ordinary_dropout_to_whom_it_may_concern() -> None:
    assert isinstance(FastDropout(0.1), nn.Dropout)
    assert FastDropout(0.1).extra_repr() == nn.Dropout(0.1).extra_repr()
