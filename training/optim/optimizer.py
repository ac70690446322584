"""The optimiser: parameter groups, learning-rate schedules, weight penalty, clipping of the gradients' norm."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from shared.errors import ConfigError
from training.config import OptimConfig
from training.model.layers import Depths, find_depths, find_head
from training.runtime.processes import sharding


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


class PlateauSchedule(LRScheduler):
    """Linear warm-up, then a constant rate that is multiplied by `factor` whenever the score has stalled.

    Unlike torch's `ReduceLROnPlateau` it steps with the optimiser, so that it can warm up, and it gets its scores
    by `observe`. Its state is saved and loaded whole.

    Args:
        optimizer: its groups' rates are the highest ones.
        warmup_steps: optimiser steps from 0 to the highest rate.
        factor: of each reduction, between 0 and 1.
        patience: evaluations in a row without a better score before a reduction.
        last_epoch: of torch's schedulers; -1 starts anew.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, *, warmup_steps: int, factor: float, patience: int, last_epoch: int = -1
    ) -> None:
        self.warmup_steps, self.factor, self.patience = warmup_steps, factor, patience
        self.best, self.waited, self.reductions = float("-inf"), 0, 0
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:  # type: ignore[override]  # torch allows tensors too
        """Rates of the groups at this step."""
        warm = min(1.0, self.last_epoch / self.warmup_steps) if self.warmup_steps else 1.0
        return [float(base) * warm * self.factor**self.reductions for base in self.base_lrs]

    def observe(self, score: float) -> None:
        """Take in the score of an evaluation, larger being better; a reduction takes effect at once."""
        self.best, self.waited = (score, 0) if score > self.best else (self.best, self.waited + 1)
        if self.waited < self.patience:
            return
        self.reductions, self.waited = self.reductions + 1, 0
        rates = self.get_lr()
        self._last_lr = [*rates]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate


def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """The norm of all gradients together, which are scaled down to `max_norm` where it is larger.

    The gradients are to the last bit those of `torch.nn.utils.clip_grad_norm_`, which multiplies with 1 where nothing
    is clipped: once a training has settled, in almost every step. Not for a GPU, where to look at the norm is to wait
    for it.
    """
    parameters = list(parameters)
    norm = torch.nn.utils.get_total_norm([weight.grad for weight in parameters if weight.grad is not None])
    # torch's own factor; a norm that is not finite is left to torch too
    if not bool(max_norm / (norm + 1e-6) >= 1.0):
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
    return norm
