"""Training the top of the network alone."""

from __future__ import annotations

from torch import nn

from shared.errors import ConfigError
from training.model.layers import Depths, find_depths


def train_top_layers(model: nn.Module, top_layers: int, *, pooler: bool = True) -> None:
    """Freeze everything but the top layers and the head.

    Args:
        model: a classifier; `requires_grad` of all its weights is set.
        top_layers: layers to train, counted from the top; 0 trains the head alone.
        pooler: train the pooler inside the encoder too, where it has one (BERT); a pooler outside it belongs to the
            head, is new and is always trained.

    Raises:
        ConfigError: when the encoder has fewer layers, or no stack of layers.
    """
    depths = find_depths(model)
    check_layers(depths, top_layers, "tuning.top_layers")
    model.requires_grad_(False)
    for module in (*depths.layers[len(depths.layers) - top_layers :], *depths.head):
        module.requires_grad_(True)
    inner = getattr(getattr(model, str(model.base_model_prefix)), "pooler", None)
    if inner is not None and not pooler:
        inner.requires_grad_(False)


def check_layers(depths: Depths, layers: int, option: str) -> None:
    """Refuse more layers than there are.

    Raises:
        ConfigError: when `layers` is not in 0..n.
    """
    if not 0 <= layers <= len(depths.layers):
        raise ConfigError(f"{option} is {layers}; this encoder has {len(depths.layers)} layers.")
