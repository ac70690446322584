"""Losses over logits and multi-hot targets; entries that nobody annotated have no part in them."""

from __future__ import annotations

from typing import Any

from training.losses import build
from training.losses.config import LossConfig
from training.losses.masked import Loss


def build_loss(config: Any) -> Loss:
    """The loss that `config` names."""
    return build.build_loss(LossConfig(**vars(config)))
