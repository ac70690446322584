"""Progressive unfreezing: the head first, then layer after layer from top to bottom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.errors import ConfigError
from training.model.layers import find_depths
from training.model.partial import check_layers

SCORE = "eval_macro_f1"


class UnfreezeCallback(TrainerCallback):
    """Freezes all but the top of the network at the start and unfreezes it downwards (Howard and Ruder 2018, 3.3).

    Each stage adds `layers` layers; the one after the lowest layer adds the embeddings. The stage follows from the
    Trainer's own record alone, so that a resumed run is in the stage it was left in. The optimiser holds all weights
    from the start; those that are frozen have no gradient and it passes over them.

    Args:
        model: a classifier whose weights are all trainable.
        start: layers trained from the start, counted from the top; 0 for the head alone.
        layers: that each stage adds.
        on: "schedule" for a stage every `every` epochs; "plateau" for one after every `every` evaluations without a
            better macro F1 on dev.
        every: epochs (may be a fraction) or evaluations (a whole number).

    Raises:
        ConfigError: when the encoder has fewer layers, or no stack of layers.
    """

    def __init__(
        self, model: nn.Module, *, start: int, layers: int, on: Literal["schedule", "plateau"], every: float
    ) -> None:
        self.depths = find_depths(model)
        check_layers(self.depths, start, "tuning.top_layers")
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.start, self.layers, self.on, self.every = start, layers, on, every
        self.trained: int | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Freeze what the first stage does not train.

        Raises:
            ConfigError: under several processes, whose gradients are gathered by a plan made at the start.
        """
        if args.world_size > 1:
            raise ConfigError(
                f"progressive unfreezing works in one process, and there are {args.world_size}.",
                hint="Start without `accelerate launch`, or choose another tuning.method.",
            )
        self._apply(self.stage(state))

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Unfreeze when it is time."""
        self._apply(self.stage(state))

    def stage(self, state: TrainerState) -> int:
        """Stages that a run has gone through at `state`."""
        if self.on == "schedule":
            return int((state.epoch or 0.0) / self.every + 1e-6)
        return count_plateaus((entry[SCORE] for entry in state.log_history if SCORE in entry), int(self.every))

    def _apply(self, stage: int) -> None:
        trained = self.start + stage * self.layers
        if trained == self.trained:
            return
        self.trained = trained
        lowest = len(self.depths.layers) - trained  # layers lowest..n-1 are trained; below 0 the embeddings are too
        for weight in self.weights:
            weight.requires_grad_(self.depths.of(weight) > lowest)


def count_plateaus(scores: Iterable[float], patience: int) -> int:
    """How often `patience` scores in a row were no better than the best before them; each time the count restarts."""
    best, waited, plateaus = float("-inf"), 0, 0
    for score in scores:
        best, waited = (score, 0) if score > best else (best, waited + 1)
        if waited >= patience:
            plateaus, waited = plateaus + 1, 0
    return plateaus
