"""All that watches a run, as configured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from transformers import TrainerCallback

from training.callbacks.gradients import GradientWatch
from training.callbacks.services import MLflow, Wandb
from training.callbacks.speed import SpeedWatch
from training.callbacks.trackers import build_trackers
from training.callbacks.trends import TrendNotes
from training.config import WatchConfig


class Watch:
    """The callbacks of a run, and the metrics they add to its log.

    Args:
        config: what is looked at.
        model: with the weights to be trained set trainable.
        logs: folder of the run's logs.
        parameters: the resolved configuration, values by key.
        samples_per_step: rows of one optimiser step, all processes together.
        scaled: whether gradients are scaled (fp16).
        sharded: whether gradients are split between processes; they are not looked at then.

    Raises:
        ConfigError: when a tracker's package is not installed.
    """

    def __init__(
        self,
        config: WatchConfig,
        model: nn.Module,
        logs: Path,
        *,
        parameters: Mapping[str, Any],
        samples_per_step: int,
        scaled: bool = False,
        sharded: bool = False,
    ) -> None:
        self.speed = SpeedWatch(samples_per_step)
        self.gradients = None if sharded else GradientWatch(model, scaled=scaled)
        self.log_gradients = config.gradients
        self.callbacks: list[TrainerCallback] = [self.speed, *build_trackers(config.trackers, logs, parameters)]
        if self.gradients is not None:
            self.callbacks.insert(1, self.gradients)
        if config.notes:
            self.callbacks.append(TrendNotes())

    def close(self, *, failed: bool) -> None:
        """End what was begun at the trackers, whether or not training came to its end."""
        for callback in self.callbacks:
            if isinstance(callback, (MLflow, Wandb)):
                callback.close(failed=failed)

    def figures(self) -> dict[str, float]:
        """What the next entry of the training log holds besides loss and learning rate."""
        norms = self.gradients.norms if self.gradients is not None and self.log_gradients else {}
        return {**self.speed.figures(), **norms}
