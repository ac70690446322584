"""Norms of the gradient by part of the network, and the end of a run whose gradient is no longer finite."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.errors import ConfigError, TrainingError
from training.model.layers import find_depths

PREFIX = "grad_norm/"
SHOWN = 3


class GradientWatch(TrainerCallback):
    """Looks at the gradient of every optimiser step, after it was clipped.

    Args:
        model: with the weights to be trained set trainable.
        scaled: True where a gradient scaler skips steps that overflow (fp16), so that they are no reason to stop.
    """

    def __init__(self, model: nn.Module, *, scaled: bool = False) -> None:
        self.groups = weight_groups(model)
        self.scaled = scaled
        self.norms: dict[str, float] = {}

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Take the norms.

        Raises:
            TrainingError: naming the weights whose gradient is not finite.
        """
        if self.scaled and (state.global_step + 1) % args.logging_steps:
            return
        norms = {name: _norm([weight for _, weight in weights]) for name, weights in self.groups.items()}
        values = torch.stack(list(norms.values())).tolist()
        self.norms = {f"{PREFIX}{name}": value for name, value in zip(norms, values, strict=True)}
        if not self.scaled and not all(torch.isfinite(torch.tensor(values))):
            raise TrainingError(
                f"the gradient is not finite at step {state.global_step + 1}: {self._culprits()}.",
                hint="Start again with a lower optim.lr, or with optim.precision fp32.",
            )

    def _culprits(self) -> str:
        bad = [
            name
            for weights in self.groups.values()
            for name, weight in weights
            if weight.grad is not None and not torch.isfinite(weight.grad).all()
        ]
        total = sum(len(weights) for weights in self.groups.values())
        if len(bad) == total and total > SHOWN:
            return "in every weight, so that it came from the loss or the clipping"
        return f"in {len(bad)} of {total} weights, {', '.join(bad[:SHOWN])}"


def weight_groups(model: nn.Module) -> dict[str, list[tuple[str, nn.Parameter]]]:
    """Trainable weights by part: embeddings, layers from bottom to top, head; all in one where there are no layers."""
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    try:
        depths = find_depths(model)
    except (ConfigError, AttributeError):
        return {"all": named}
    groups: dict[int, list[tuple[str, nn.Parameter]]] = {}
    for name, weight in named:
        groups.setdefault(depths.of(weight), []).append((name, weight))
    return {depths.name(depth).replace(" ", "_"): groups[depth] for depth in sorted(groups)}


def _norm(weights: list[nn.Parameter]) -> torch.Tensor:
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    if not gradients:
        return torch.zeros(())
    norm: torch.Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))).float()
    return norm
