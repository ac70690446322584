"""The optimiser and the course of its learning rate."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from shared.errors import ConfigError
from training.config import OptimConfig
from training.optim.parameter_groups import parameter_groups
from training.optim.plateau import PlateauSchedule
from training.runtime.sharding import sharding


def build_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser that `config` names, over the trainable weights.

    AdamW and Adafactor decay weights apart from the gradient (Loshchilov and Hutter 2019,
    https://arxiv.org/abs/1711.05101; Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235); SGD, Adam and RMSprop
    add the decay to the gradient, as their authors did.

    Raises:
        ConfigError: when rates differ by layer and the encoder has no stack of layers.
    """
    groups = parameter_groups(
        model, lr=config.lr, weight_decay=config.weight_decay, layer_decay=config.layer_decay, head_lr=config.head_lr
    )
    betas = (config.beta1, config.beta2)
    # fused: the same numbers in one pass over memory, on CPU and CUDA
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, betas=betas, eps=config.epsilon, fused=True)
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=config.lr, betas=betas, eps=config.epsilon, fused=True)
    if config.optimizer == "sgd":
        fused = sharding() != "FSDP"  # torch has no fused SGD of sharded tensors
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=fused)
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(
            groups, lr=config.lr, alpha=config.beta2, eps=config.epsilon, momentum=config.momentum
        )
    return torch.optim.Adafactor(groups, lr=config.lr)


def build_schedule(
    optimizer: torch.optim.Optimizer, config: OptimConfig, num_steps: int, last_step: int = -1
) -> LRScheduler:
    """Linear warm-up from 0, then what `config.schedule` names.

    Linear and cosine decay reach 0 at the last of `num_steps` optimiser steps; plateau waits for scores of dev.
    """
    warmup = math.ceil(config.warmup_ratio * num_steps)
    if config.schedule == "plateau":
        return PlateauSchedule(
            optimizer,
            warmup_steps=warmup,
            factor=config.plateau_factor,
            patience=config.plateau_patience,
            last_epoch=last_step,
        )

    def factor(step: int) -> float:
        if step < warmup:
            return float(step / warmup)
        if config.schedule == "constant":
            return 1.0
        rest = max(0.0, (num_steps - step) / max(1, num_steps - warmup))
        return 0.5 * (1.0 - math.cos(math.pi * rest)) if config.schedule == "cosine" else float(rest)

    return LambdaLR(optimizer, factor, last_step)


def weight_penalty(model: nn.Module, l1: float, l2: float) -> torch.Tensor:
    """l1 sum |w| + l2 sum w^2 over the trainable matrices, a scalar to be added to the loss."""
    matrices = [weight for weight in model.parameters() if weight.requires_grad and weight.dim() > 1]
    terms: list[Any] = []
    if l1:
        terms += [l1 * weight.abs().sum() for weight in matrices]
    if l2:
        terms += [l2 * weight.square().sum() for weight in matrices]
    if not terms:
        raise ConfigError("there is nothing to penalise: no matrix is trained, or optim.l1 and optim.l2 are 0.")
    return torch.stack(terms).sum()
