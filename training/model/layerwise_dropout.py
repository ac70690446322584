"""Dropout that changes from layer to layer."""

from __future__ import annotations

from torch import nn

from shared.errors import ConfigError
from training.model.layers import find_depths

_HEADS = ("num_attention_heads", "num_heads", "n_heads")


def set_layerwise_dropout(model: nn.Module, bottom: float, top: float) -> list[float]:
    """Set the dropout of hidden states in every layer: `bottom` in the lowest, `top` in the highest, linear between.

    Dropout of attention weights, of the embeddings and of the head stays as it is.

    Args:
        model: a classifier.
        bottom: probability in the lowest layer.
        top: probability in the highest layer.

    Returns:
        The probabilities from bottom to top.

    Raises:
        ConfigError: for a probability out of range, or when a layer has no such dropout.
    """
    for name, value in (("bottom", bottom), ("top", top)):
        if not 0.0 <= value < 1.0:
            raise ConfigError(f"the dropout at the {name} is {value}; it must be in [0, 1).")
    layers = find_depths(model).layers
    steps = max(1, len(layers) - 1)
    probabilities = [bottom + (top - bottom) * index / steps for index in range(len(layers))]
    for index, (layer, probability) in enumerate(zip(layers, probabilities, strict=True)):
        dropouts = hidden_dropouts(layer)
        if not dropouts:
            raise ConfigError(f"layer {index} has no dropout of hidden states, so it cannot be graded.")
        for dropout in dropouts:
            dropout.p = probability
    return probabilities


def hidden_dropouts(layer: nn.Module) -> list[nn.Dropout]:
    """The dropouts of a layer, but for those within the module that computes attention."""
    inner = [m for m in layer.modules() if any(hasattr(m, name) for name in _HEADS)]
    within = {id(module) for attention in inner for module in attention.modules()}
    return [m for m in layer.modules() if isinstance(m, nn.Dropout) and id(m) not in within]
