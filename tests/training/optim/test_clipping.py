"""Clipping is that of torch, whether or not there is something to clip."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.optim.clipping import clip_gradients


def model_with_gradients(largest: float) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 3), nn.Linear(3, 3))
    for parameter in list(model.parameters())[:-1]:  # one has no gradient
        parameter.grad = torch.randn_like(parameter)
    model[0].weight.grad[0, 0] = largest
    return model


@pytest.mark.parametrize("max_norm", [0.1, 1.0, 1e4])
@pytest.mark.parametrize("largest", [0.5, float("inf"), float("nan")])
def test_gradients_and_norm_are_those_of_torch_to_the_last_bit(max_norm, largest):
    ours = model_with_gradients(largest)
    torchs = model_with_gradients(largest)
    expected = torch.nn.utils.clip_grad_norm_(torchs.parameters(), max_norm)
    norm = clip_gradients(ours.parameters(), max_norm)
    torch.testing.assert_close(norm, expected, rtol=0, atol=0, equal_nan=True)
    for one, other in list(zip(ours.parameters(), torchs.parameters(), strict=True))[:-1]:
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=0, equal_nan=True)


def test_gradients_within_the_norm_are_not_written_to():
    model = model_with_gradients(0.5)
    versions = [parameter.grad._version for parameter in list(model.parameters())[:-1]]
    clip_gradients(model.parameters(), 1e4)
    assert [parameter.grad._version for parameter in list(model.parameters())[:-1]] == versions


def test_without_gradients_the_norm_is_zero():
    assert clip_gradients(nn.Linear(2, 2).parameters(), 1.0) == 0
