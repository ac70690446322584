"""Optimisers, parameter groups, schedules, penalty and clipping, against numbers worked out by hand and torch's own."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from shared.errors import ConfigError
from shared.modeling.classifier import build_classifier
from training.config import OptimConfig
from training.model.layers import find_depths
from training.optim.optimizer import (
    PlateauSchedule,
    build_optimizer,
    build_schedule,
    clip_gradients,
    parameter_groups,
    weight_penalty,
)

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


@pytest.fixture
def model(tiny_model):
    return build_classifier(tiny_model, labels=("joy", "anger", "fear"), pooling="cls")


def test_one_rate_for_all_makes_two_groups(model):
    groups = parameter_groups(model, lr=1e-3, weight_decay=0.1)
    assert [(group["name"], group["lr"], group["weight_decay"]) for group in groups] == [
        ("all", 1e-3, 0.1),
        ("all, no decay", 1e-3, 0.0),
    ]


def test_rates_fall_by_layer_and_the_head_has_its_own(model):
    groups = parameter_groups(model, lr=1e-3, weight_decay=0.1, layer_decay=0.5, head_lr=5e-3)
    rates = {group["name"]: group["lr"] for group in groups}
    assert rates == {
        name + suffix: pytest.approx(rate)
        for name, rate in {"layer 1": 1e-3, "head": 5e-3, "layer 0": 5e-4, "embeddings": 2.5e-4}.items()
        for suffix in ("", ", no decay")
    }
    assert groups[0]["lr"] == 1e-3


def test_the_head_learns_like_the_top_layer_unless_told_otherwise(model):
    rates = {
        group["name"]: group["lr"] for group in parameter_groups(model, lr=1e-3, weight_decay=0.1, layer_decay=0.5)
    }
    assert rates["head"] == rates["layer 1"] == 1e-3


@pytest.mark.parametrize("layer_decay", [1.0, 0.9])
def test_every_trainable_weight_is_in_exactly_one_group(model, layer_decay):
    frozen = next(model.parameters()).requires_grad_(False)
    groups = parameter_groups(model, lr=1e-3, weight_decay=0.1, layer_decay=layer_decay)
    grouped = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(grouped) == sorted(id(weight) for weight in model.parameters() if weight is not frozen)


def test_biases_and_normalisation_do_not_decay(model):
    names = {id(weight): name for name, weight in model.named_parameters()}
    for group in parameter_groups(model, lr=1e-3, weight_decay=0.1, layer_decay=0.9):
        for weight in group["params"]:
            vector = names[id(weight)].endswith("bias") or "LayerNorm" in names[id(weight)]
            assert (group["weight_decay"] == 0.0) == vector, names[id(weight)]


def test_weights_of_a_group_have_its_depth(model):
    depths = find_depths(model)
    for group in parameter_groups(model, lr=1e-3, weight_decay=0.1, layer_decay=0.9):
        assert {depths.name(depths.of(weight)) for weight in group["params"]} == {group["name"].split(",")[0]}


def test_a_rate_of_the_head_needs_no_stack_of_layers():
    from transformers import AlbertConfig, AlbertForSequenceClassification

    config = AlbertConfig(
        vocab_size=20, embedding_size=8, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8
    )
    model = AlbertForSequenceClassification(config)
    groups = parameter_groups(model, lr=1e-3, weight_decay=0.1, head_lr=5e-3)
    rates = {id(weight): group["lr"] for group in groups for weight in group["params"]}
    assert rates[id(model.classifier.weight)] == rates[id(model.classifier.bias)] == 5e-3
    pooler = {id(weight) for weight in model.albert.pooler.parameters()}  # new with the head, and learns with it
    assert {rates[weight] for weight in pooler} == {5e-3}
    assert {rates[id(weight)] for weight in model.albert.parameters() if id(weight) not in pooler} == {1e-3}
    with pytest.raises(ConfigError, match="has no stack of 2 layers"):
        parameter_groups(model, lr=1e-3, weight_decay=0.1, layer_decay=0.9)


def schedule(warmup_steps: int = 0, patience: int = 2) -> tuple[PlateauSchedule, torch.optim.Optimizer]:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1.0, 0.1)]
    optimizer = torch.optim.SGD(groups)
    return PlateauSchedule(optimizer, warmup_steps=warmup_steps, factor=0.5, patience=patience), optimizer


def current_rates(optimizer: torch.optim.Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def advance(course: PlateauSchedule, optimizer: torch.optim.Optimizer, steps: int = 1) -> None:
    for _ in range(steps):
        optimizer.step()
        course.step()


def test_warms_up_linearly_and_then_stays():
    course, optimizer = schedule(warmup_steps=4)
    seen = [current_rates(optimizer)]
    for _ in range(6):
        advance(course, optimizer)
        seen.append(current_rates(optimizer))
    assert [first for first, _ in seen] == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1, 1])
    assert [second for _, second in seen] == pytest.approx([0, 0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


def test_halves_after_two_evaluations_without_a_better_score():
    course, optimizer = schedule()
    seen = []
    for score in (0.3, 0.3, 0.2, 0.4, 0.1, 0.1, 0.1, 0.1):
        course.observe(score)
        seen.append(current_rates(optimizer)[0])
        advance(course, optimizer)
        assert current_rates(optimizer)[0] == seen[-1]
    assert seen == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert course.get_last_lr() == pytest.approx([0.125, 0.0125])


def test_a_reduction_during_warm_up_scales_it():
    course, optimizer = schedule(warmup_steps=4, patience=1)
    advance(course, optimizer)
    course.observe(0.5)
    course.observe(0.5)
    advance(course, optimizer)
    assert current_rates(optimizer)[0] == pytest.approx(0.25)


def test_saved_and_loaded_it_continues_exactly():
    one, first = schedule(warmup_steps=3)
    for score in (0.3, 0.2):
        advance(one, first, 2)
        one.observe(score)
    other, second = schedule(warmup_steps=3)
    second.load_state_dict(first.state_dict())
    other.load_state_dict(one.state_dict())
    for course, optimizer in ((one, first), (other, second)):
        course.observe(0.1)
        advance(course, optimizer, 2)
    assert current_rates(second) == current_rates(first) == pytest.approx([0.5, 0.05])
    assert (other.best, other.waited, other.reductions) == (0.3, 0, 1)


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
