"""Dropout from layer to layer."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from shared.errors import ConfigError
from shared.modeling.classifier import build_classifier
from tests.helpers import tiny_checkpoint
from training.config import Config, ModelConfig
from training.model.classifier import build_model
from training.model.layers import find_depths
from training.model.layerwise_dropout import hidden_dropouts, set_layerwise_dropout


@pytest.mark.parametrize("family", ["deberta-v2", "bert"])
def test_linear_from_bottom_to_top(tmp_path, family):
    model = build_classifier(
        tiny_checkpoint(tmp_path, family=family, num_layers=3), labels=("joy", "anger"), pooling="cls"
    )
    before = {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    assert set_layerwise_dropout(model, 0.0, 0.2) == pytest.approx([0.0, 0.1, 0.2])
    for probability, layer in zip((0.0, 0.1, 0.2), find_depths(model).layers, strict=True):
        assert [dropout.p for dropout in hidden_dropouts(layer)] == pytest.approx([probability] * 2)
    graded = {id(dropout) for layer in find_depths(model).layers for dropout in hidden_dropouts(layer)}
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout) and id(module) not in graded:
            assert module.p == before[name]


def test_a_single_layer_has_the_dropout_of_the_bottom(tmp_path):
    model = build_classifier(tiny_checkpoint(tmp_path, num_layers=1), labels=("joy", "anger"), pooling="cls")
    assert set_layerwise_dropout(model, 0.05, 0.2) == [0.05]


def test_a_probability_out_of_range_is_refused(tiny_model):
    model = build_classifier(tiny_model, labels=("joy", "anger"), pooling="cls")
    with pytest.raises(ConfigError, match=r"the dropout at the top is 1\.0; it must be in \[0, 1\)"):
        set_layerwise_dropout(model, 0.0, 1.0)


def test_layers_without_dropout_are_refused(tiny_model):
    model = build_classifier(tiny_model, labels=("joy", "anger"), pooling="cls")
    layer = find_depths(model).layers[1]
    layer.attention.output.dropout = layer.output.dropout = nn.Identity()
    with pytest.raises(ConfigError, match="layer 1 has no dropout of hidden states"):
        set_layerwise_dropout(model, 0.0, 0.1)


def test_the_model_is_built_with_it(tiny_model):
    config = Config(model=ModelConfig(name=str(tiny_model), bottom_dropout=0.0, top_dropout=0.3))
    layers = find_depths(build_model(config, ("joy", "anger"), np.array([0.3, 0.2]))).layers
    assert [hidden_dropouts(layer)[0].p for layer in layers] == [0.0, 0.3]


def test_one_end_alone_is_refused(tiny_model):
    config = Config(model=ModelConfig(name=str(tiny_model), top_dropout=0.3))
    with pytest.raises(ConfigError, match=r"model\.bottom_dropout is None and model\.top_dropout 0\.3; give both"):
        build_model(config, ("joy", "anger"), np.array([0.3, 0.2]))
