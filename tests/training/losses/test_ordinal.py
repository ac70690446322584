"""Losses of intensities: worked values, monotone probabilities, masks, and gradients against finite differences."""

from __future__ import annotations

import math

import pytest
import torch

from shared.errors import ConfigError
from training.config import LossConfig
from training.config.optim import LossConfig as Options
from training.losses.build import build_loss
from training.losses.ordinal import coral, cumulative_link, mean_squared_error

ALL = torch.ones(1, 1, dtype=torch.bool)
CUTS = torch.tensor([math.log(1 / 3), 0.0, math.log(3.0)])
"""At a score of 0 each of four levels has the probability 1/4."""


def test_the_likelihood_of_a_level_is_that_of_proportional_odds():
    for level in range(4):
        loss = cumulative_link()((0.0 - CUTS).reshape(1, 3), torch.tensor([[level / 3]]), ALL)
        assert float(loss) == pytest.approx(math.log(4.0), rel=1e-5)
    # at a score of log 3 the levels have 1/10, 3/20, 1/4, 1/2
    logits = (math.log(3.0) - CUTS).reshape(1, 3)
    found = [float(cumulative_link()(logits, torch.tensor([[level / 3]]), ALL)) for level in range(4)]
    assert found == pytest.approx([-math.log(p) for p in (0.1, 0.15, 0.25, 0.5)], rel=1e-5)


def test_coral_is_the_sum_of_binary_cross_entropies():
    # of P(Y > k) = 3/4, 1/2, 1/4 and level 2: Y > 0 and Y > 1 hold, Y > 2 does not
    found = coral()((0.0 - CUTS).reshape(1, 3), torch.tensor([[2 / 3]]), ALL)
    assert float(found) == pytest.approx(-math.log(0.75 * 0.5 * 0.75), rel=1e-5)


def test_mean_squared_error_is_that_of_the_sigmoid():
    found = mean_squared_error(torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([[0.25, 0.25]]))
    assert found.tolist()[0] == pytest.approx([0.0625, 0.25])


@pytest.mark.parametrize("name", ["bce", "mse", "cumulative_link", "coral"])
def test_gradients_are_those_of_finite_differences_and_0_where_unknown(name):
    torch.manual_seed(0)
    count = 3 if LossConfig(name=name).ordinal else 1
    scores = torch.randn(5, 2, 1, dtype=torch.float32)
    cuts = torch.linspace(-1.0, 1.0, 3)[:count] if count > 1 else torch.zeros(1)
    logits = (scores - cuts).flatten(1)
    targets, known = torch.randint(0, 4, (5, 2)) / 3, torch.rand(5, 2) < 0.6
    loss = build_loss(LossConfig(name=name))
    logits.requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(logits, targets, known), logits)
    hidden = (~known).unsqueeze(-1).expand(5, 2, count).flatten(1)
    assert hidden.any()
    assert (gradient[hidden] == 0).all()
    step = 1e-2
    for place in [(0, 0), (1, count), (4, 2 * count - 1), (2, 0)]:
        moved = torch.zeros_like(logits)
        moved[place] = step
        with torch.no_grad():
            numeric = (loss(logits + moved, targets, known) - loss(logits - moved, targets, known)) / (2 * step)
        assert float(gradient[place]) == pytest.approx(float(numeric), abs=2e-4)


@pytest.mark.parametrize("make", [cumulative_link, coral])
def test_extreme_and_touching_logits_have_finite_losses_and_gradients(make):
    logits = torch.tensor([[90.0, 90.0, 90.0], [-90.0, -90.0, -90.0], [80.0, 0.0, -80.0]], requires_grad=True)
    loss = make()(logits, torch.tensor([[1 / 3], [2 / 3], [0.0]]), torch.ones(3, 1, dtype=torch.bool))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_the_names_are_those_of_the_configuration():
    assert {name for name in ("cumulative_link", "coral") if Options(name=name).ordinal} == {"cumulative_link", "coral"}
    with pytest.raises(ConfigError, match="needs the label counts"):
        build_loss(LossConfig(name="weighted_bce"))
