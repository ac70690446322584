"""The asymmetric loss: the numbers of the authors' formula, and the law that a widely copied listing breaks."""

from __future__ import annotations

import pytest
import torch

from training.losses.elementwise import EntryLoss, asymmetric, binary_cross_entropy, focal


def gradient_at(loss: EntryLoss, probability: float, target: float) -> float:
    """dL/dz at sigmoid(z) = probability."""
    logit = torch.logit(torch.tensor([[probability]], dtype=torch.float64)).requires_grad_()
    loss(logit, torch.tensor([[target]], dtype=torch.float64)).sum().backward()
    assert logit.grad is not None
    return float(logit.grad)


def pushes_a_negative_up(loss: EntryLoss) -> bool:
    """Whether a step against the gradient would raise the probability of a label that is absent."""
    return any(gradient_at(loss, percent / 100, 0.0) < 0 for percent in range(1, 100))


@pytest.mark.parametrize(
    ("probability", "full", "detached"),
    [(0.1, 2.900e-6, 5.921e-7), (0.2, 4.463e-4, 9.529e-5), (0.5, 7.312e-2, 1.864e-2), (0.9, 0.7326, 0.3132)],
)
def test_gradient_of_negatives_with_focus_4_and_margin_5_percent(probability, full, detached):
    assert gradient_at(asymmetric(), probability, 0.0) == pytest.approx(full, rel=5e-4)
    assert gradient_at(asymmetric(detach_focus=True), probability, 0.0) == pytest.approx(detached, rel=5e-4)


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("probability", [0.001, 0.01, 0.03, 0.0499])
def test_negatives_within_the_margin_have_gradient_zero(probability, detach):
    assert gradient_at(asymmetric(detach_focus=detach), probability, 0.0) == 0.0


def test_at_the_margin_the_gradient_is_zero_but_for_rounding():
    assert gradient_at(asymmetric(), 0.05, 0.0) == pytest.approx(0.0, abs=1e-40)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_within_the_margin_no_exponent_makes_nan(exponent):
    assert gradient_at(asymmetric(gamma_negative=exponent), 0.03, 0.0) == 0.0


def test_gradient_of_a_positive_with_focus_1():
    assert gradient_at(asymmetric(gamma_positive=1.0), 0.5, 1.0) == pytest.approx(-0.4233, abs=5e-5)
    assert gradient_at(asymmetric(gamma_positive=1.0, detach_focus=True), 0.5, 1.0) == pytest.approx(-0.25, abs=1e-12)


def test_negatives_are_never_pushed_up():
    assert not pushes_a_negative_up(asymmetric())
    assert not pushes_a_negative_up(asymmetric(detach_focus=True))
    assert not pushes_a_negative_up(asymmetric(gamma_negative=2.0, margin=0.0))


def test_the_copied_listing_that_pushes_false_positives_up_is_caught():
    def listing(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        shifted = (torch.sigmoid(logits) - 0.05).clamp(min=0)
        return -((1 - shifted) ** 4) * torch.log(1 - shifted) * (1 - targets)  # (1 - pm)^g in place of pm^g

    assert gradient_at(listing, 0.25, 0.0) > 0
    assert gradient_at(listing, 0.28, 0.0) < 0
    assert pushes_a_negative_up(listing)


def test_without_margin_and_with_equal_exponents_it_is_focal_loss():
    logits = torch.linspace(-8, 8, 33).reshape(11, 3)
    targets = (torch.arange(33).reshape(11, 3) % 2).float()
    torch.testing.assert_close(asymmetric(2.0, 2.0, 0.0)(logits, targets), focal(2.0)(logits, targets))


def test_without_margin_and_focus_it_is_binary_cross_entropy():
    logits = torch.linspace(-8, 8, 33).reshape(11, 3)
    targets = torch.linspace(0, 1, 33).reshape(11, 3)
    torch.testing.assert_close(asymmetric(0.0, 0.0, 0.0)(logits, targets), binary_cross_entropy(logits, targets))


@pytest.mark.parametrize("margin", [0.0, 0.05])
@pytest.mark.parametrize("exponents", [(4.0, 1.0), (0.5, 0.5), (0.0, 0.0)])
@pytest.mark.parametrize("detach", [False, True])
def test_extreme_logits_give_finite_losses_and_gradients(margin, exponents, detach):
    logits = torch.tensor([[-1e4, -200.0, 0.0, 200.0, 1e4]]).repeat(2, 1).requires_grad_()
    targets = torch.tensor([[0.0], [1.0]]).expand(2, 5)
    losses = asymmetric(*exponents, margin, detach_focus=detach)(logits, targets)
    losses.sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(losses).all()
    assert torch.isfinite(logits.grad).all()
