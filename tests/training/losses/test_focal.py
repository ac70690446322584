"""Focal loss against hand-worked numbers and a reference implementation."""

from __future__ import annotations

import math

import pytest
import torch
from transformers.loss.loss_for_object_detection import sigmoid_focal_loss

from training.losses.elementwise import binary_cross_entropy, focal


def entries() -> tuple[torch.Tensor, torch.Tensor]:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)) * 4
    return logits, (torch.arange(24).reshape(6, 4) % 3 == 0).float()


def test_hand_worked_entry():
    # p = 0.9, y = 1, g = 2, a = 0.25: 0.25 x 0.01 x -log 0.9
    loss = focal(2.0, 0.25)(torch.logit(torch.tensor([[0.9]])), torch.ones(1, 1))
    assert loss.item() == pytest.approx(0.25 * 0.01 * -math.log(0.9), rel=1e-5)


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (1.5, None), (0.5, 0.6)])
def test_agrees_with_the_reference_of_transformers(gamma, alpha):
    logits, targets = entries()
    expected = sigmoid_focal_loss(logits, targets, num_boxes=6, alpha=-1 if alpha is None else alpha, gamma=gamma)
    assert focal(gamma, alpha)(logits, targets).mean().item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (1.5, None)])
def test_agrees_with_torchvision(gamma, alpha):
    ops = pytest.importorskip("torchvision.ops")
    logits, targets = entries()
    expected = ops.sigmoid_focal_loss(logits, targets, alpha=-1 if alpha is None else alpha, gamma=gamma)
    torch.testing.assert_close(focal(gamma, alpha)(logits, targets), expected)


def test_gamma_zero_is_binary_cross_entropy():
    logits, targets = entries()
    torch.testing.assert_close(focal(0.0)(logits, targets), binary_cross_entropy(logits, targets))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_extreme_logits_give_finite_losses_and_gradients(gamma):
    logits = torch.tensor([[-1e4, -200.0, 0.0, 200.0, 1e4]]).repeat(2, 1).requires_grad_()
    losses = focal(gamma)(logits, torch.tensor([[0.0], [1.0]]).expand(2, 5))
    losses.sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(losses).all()
    assert torch.isfinite(logits.grad).all()
