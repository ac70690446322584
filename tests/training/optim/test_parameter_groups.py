"""Learning rates by layer, by hand, and which weights decay."""

from __future__ import annotations

import pytest

from shared.errors import ConfigError
from shared.modeling.classifier import build_classifier
from training.model.layers import find_depths
from training.optim.parameter_groups import parameter_groups


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
    assert {rates[id(weight)] for weight in model.albert.parameters()} == {1e-3}
    with pytest.raises(ConfigError, match="has no stack of 2 layers"):
        parameter_groups(model, lr=1e-3, weight_decay=0.1, layer_decay=0.9)
