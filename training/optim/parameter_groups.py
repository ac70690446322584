"""Weights with their learning rates and weight decay."""

from __future__ import annotations

from typing import Any

from torch import nn

from shared.errors import ConfigError
from training.model.layers import Depths, find_depths, find_head


def parameter_groups(
    model: nn.Module, *, lr: float, weight_decay: float, layer_decay: float = 1.0, head_lr: float | None = None
) -> list[dict[str, Any]]:
    """Trainable weights by learning rate and decay, as an optimiser takes them; each group has a `name`.

    The top layer of n learns with `lr`, each layer below with `layer_decay` times the rate of the one above, and the
    embeddings with lr x layer_decay^n (Sun et al. 2019, https://arxiv.org/abs/1905.05583, section 5.4.3). Biases and
    normalisation, the weights that are vectors, do not decay.

    Args:
        model: a classifier, with or without LoRA.
        lr: of the top layer; that of the first group, which is the one that is logged.
        weight_decay: of matrices.
        layer_decay: d, above 0, at most 1; 1 gives all layers the same rate.
        head_lr: learning rate of the head; `lr` when None.

    Raises:
        ConfigError: when layers have different rates and the encoder has no stack of layers.
    """
    depths = _depths(model, layer_decay, head_lr)
    groups: dict[tuple[str, bool], dict[str, Any]] = {}
    for weight in model.parameters():
        if not weight.requires_grad:
            continue
        name, rate = "all", lr
        if depths is not None:
            depth = depths.of(weight)
            name = depths.name(depth)
            on_head = depth == depths.top
            rate = (lr if head_lr is None else head_lr) if on_head else lr * layer_decay ** (depths.top - 1 - depth)
        decays = weight.dim() > 1
        empty = {
            "params": [], "lr": rate, "weight_decay": weight_decay if decays else 0.0,
            "name": name if decays else f"{name}, no decay",
        }  # fmt: skip
        groups.setdefault((name, decays), empty)["params"].append(weight)
    return sorted(groups.values(), key=lambda group: (group["lr"] != lr, -group["lr"]))


def _depths(model: nn.Module, layer_decay: float, head_lr: float | None) -> Depths | None:
    """Where each weight stands, None where all learn at one rate.

    Without a decay by layer the encoder need not be a stack of layers: then there are just the encoder and the head.
    """
    if layer_decay != 1.0:
        return find_depths(model)
    if head_lr is None:
        return None
    try:
        return find_depths(model)
    except ConfigError:
        return find_head(model)
