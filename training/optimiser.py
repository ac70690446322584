"""The optimiser and the course of its learning rate."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from training.config import OptimConfig


def build_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW with decoupled weight decay (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101)."""
    return torch.optim.AdamW(
        parameter_groups(model, config.weight_decay),
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        fused=True,  # the same numbers in one pass over memory, on CPU and CUDA
    )


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: matrices with decay; biases and normalisation, which are vectors, without."""
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in trainable if weight.dim() > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in trainable if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build_schedule(
    optimizer: torch.optim.Optimizer, config: OptimConfig, num_steps: int, last_step: int = -1
) -> LambdaLR:
    """Linear warm-up from 0, then linear or cosine decay to 0 at the last of `num_steps` optimiser steps."""
    warmup = math.ceil(config.warmup_ratio * num_steps)

    def factor(step: int) -> float:
        if step < warmup:
            return step / warmup
        rest: float = max(0.0, (num_steps - step) / max(1, num_steps - warmup))
        return 0.5 * (1.0 - math.cos(math.pi * rest)) if config.schedule == "cosine" else rest

    return LambdaLR(optimizer, factor, last_step)
