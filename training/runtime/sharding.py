"""Weights, gradients or optimiser states that are split between the processes, as `accelerate launch` was told."""

from __future__ import annotations

import os
from typing import Literal

Sharding = Literal["FSDP", "DeepSpeed"]


def sharding() -> Sharding | None:
    """What splits them; None where every process has all of them."""
    if _is_set("ACCELERATE_USE_FSDP"):
        return "FSDP"
    return "DeepSpeed" if _is_set("ACCELERATE_USE_DEEPSPEED") else None


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in ("1", "true", "yes", "on")
