"""Optimisers by name, learning rates by step, and the weight penalty by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from shared.errors import ConfigError
from shared.modeling.classifier import build_classifier
from training.config import OptimConfig
from training.optim.optimiser import build_optimizer, build_schedule, weight_penalty
from training.optim.plateau import PlateauSchedule

KINDS = {
    "adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop,
    "adafactor": torch.optim.Adafactor,
}  # fmt: skip


def pair() -> tuple[nn.Linear, torch.Tensor]:
    """A layer with weight 2 and bias 3, both with gradient 0.5."""
    layer = nn.Linear(1, 1)
    with torch.no_grad():
        layer.weight.fill_(2.0)
        layer.bias.fill_(3.0)
    for weight in layer.parameters():
        weight.grad = torch.full_like(weight, 0.5)
    return layer, layer.weight


def rates(config: OptimConfig, steps: int) -> list[float]:
    optimizer = build_optimizer(nn.Linear(1, 1), config)
    schedule = build_schedule(optimizer, config, steps)
    seen = []
    for _ in range(steps + 1):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


@pytest.mark.parametrize("name", KINDS)
def test_every_name_gives_its_optimiser_and_it_goes_down(name):
    layer = nn.Linear(4, 2)
    optimizer = build_optimizer(layer, OptimConfig(head_lr=None, optimizer=name, lr=1e-2))
    assert type(optimizer) is KINDS[name]
    inputs = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = (layer(inputs) - 1.0).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_adamw_decays_apart_from_the_gradient_and_spares_biases():
    layer, _ = pair()
    build_optimizer(layer, OptimConfig(head_lr=None, lr=0.1, weight_decay=0.2)).step()
    # first step of Adam: lr x sign of the gradient; decay: lr x 0.2 x 2
    assert layer.weight.item() == pytest.approx(2.0 - 0.1 * 0.2 * 2.0 - 0.1, abs=1e-5)
    assert layer.bias.item() == pytest.approx(3.0 - 0.1, abs=1e-5)


def test_sgd_adds_the_decay_to_the_gradient_and_keeps_momentum():
    layer, weight = pair()
    optimizer = build_optimizer(
        layer, OptimConfig(head_lr=None, optimizer="sgd", lr=0.1, weight_decay=0.2, momentum=0.5)
    )
    optimizer.step()
    assert weight.item() == pytest.approx(2.0 - 0.1 * (0.5 + 0.2 * 2.0))
    optimizer.step()
    step = 0.5 * (0.5 + 0.2 * 2.0) + 0.5 + 0.2 * 1.91
    assert weight.item() == pytest.approx(1.91 - 0.1 * step)


def test_rates_by_layer_reach_the_optimiser(tiny_model):
    model = build_classifier(tiny_model, labels=("joy", "anger"), pooling="cls")
    optimizer = build_optimizer(model, OptimConfig(lr=1e-3, layer_decay=0.5, head_lr=1e-2))
    build_schedule(optimizer, OptimConfig(head_lr=None, warmup_ratio=0.0), 10)
    assert sorted({group["lr"] for group in optimizer.param_groups}) == pytest.approx([2.5e-4, 5e-4, 1e-3, 1e-2])


def test_linear_and_cosine_rise_to_the_highest_rate_and_end_at_zero():
    config = OptimConfig(head_lr=None, lr=1.0, warmup_ratio=0.2)
    assert rates(config, 10) == pytest.approx([0, 0.5, *(1 - i / 8 for i in range(9))])
    cosine = [0.5 * (1 + math.cos(math.pi * i / 8)) for i in range(9)]
    assert rates(replace(config, schedule="cosine"), 10) == pytest.approx([0, 0.5, *cosine], abs=1e-12)


def test_constant_rises_and_stays():
    assert rates(OptimConfig(head_lr=None, lr=1.0, warmup_ratio=0.2, schedule="constant"), 10) == [0, 0.5] + [1.0] * 9


def test_plateau_takes_its_options():
    config = OptimConfig(
        head_lr=None, lr=1.0, warmup_ratio=0.25, schedule="plateau", plateau_factor=0.1, plateau_patience=2
    )
    schedule = build_schedule(build_optimizer(nn.Linear(1, 1), config), config, 10)
    assert isinstance(schedule, PlateauSchedule)
    assert (schedule.warmup_steps, schedule.factor, schedule.patience) == (3, 0.1, 2)


def test_penalty_by_hand_leaves_biases_and_frozen_weights_out():
    model = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, -4.0]]))
        model[1].weight.fill_(100.0)
    model[1].requires_grad_(False)
    penalty = weight_penalty(model, 0.1, 0.01)
    assert penalty.item() == pytest.approx(0.1 * 7 + 0.01 * 25)
    penalty.backward()
    assert model[0].weight.grad.tolist()[0] == pytest.approx([0.1 + 0.02 * 3, -0.1 - 0.02 * 4])
    assert model[0].bias.grad is None


def test_a_penalty_on_nothing_is_refused():
    with pytest.raises(ConfigError, match="nothing to penalise"):
        weight_penalty(nn.LayerNorm(2), 0.1, 0.0)
