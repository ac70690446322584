"""A learning rate that falls when progress stalls."""

from __future__ import annotations

import torch
from torch.optim.lr_scheduler import LRScheduler


class PlateauSchedule(LRScheduler):
    """Linear warm-up, then a constant rate that is multiplied by `factor` whenever the score has stalled.

    Unlike torch's `ReduceLROnPlateau` it steps with the optimiser, so that it can warm up, and a score is told to it
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
