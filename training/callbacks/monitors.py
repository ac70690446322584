"""What is watched while a run trains: speed and memory, a loss or gradient that is no longer finite, gradient norms."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.errors import ConfigError, TrainingError
from shared.modeling.device import has_cuda
from training.callbacks.trackers import MLflow, Wandb, build_trackers
from training.callbacks.trends import TrendNotes
from training.config import WatchConfig
from training.model.layers import find_depths

PREFIX = "grad_norm/"
SHOWN = 3
"""Names of weights in a message, the others are counted."""


class SpeedWatch(TrainerCallback):
    """Times optimiser steps, without evaluations and checkpoints.

    Args:
        samples_per_step: rows of one optimiser step, all processes together.
    """

    def __init__(self, samples_per_step: int) -> None:
        self.samples_per_step = samples_per_step
        self.steps, self.seconds, self.begun = 0, 0.0, 0.0

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock."""
        self.begun = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stop the clock."""
        self.steps, self.seconds = self.steps + 1, self.seconds + time.monotonic() - self.begun

    def metrics(self) -> dict[str, float]:
        """`samples_per_second` since the last question, and `memory_gb`."""
        metrics = {"memory_gb": round(memory_bytes() / 1e9, 3)}
        if self.seconds > 0:
            metrics["samples_per_second"] = round(self.steps * self.samples_per_step / self.seconds, 1)
        self.steps, self.seconds = 0, 0.0
        return metrics


def memory_bytes(status: Path = Path("/proc/self/status")) -> int:
    """The most GPU memory in use so far; without a GPU the main memory this process has now (0 where unknown)."""
    if has_cuda():
        return int(torch.cuda.max_memory_allocated())
    try:
        lines = status.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


def check_finite(loss: Tensor, model: nn.Module | None, inputs: Mapping[str, Tensor], step: int) -> None:
    """Stop when the loss of a step is not finite.

    Args:
        loss: a scalar.
        model: that gave it; None where it is split between processes, which would have to search together.
        inputs: its batch, with `labels`.
        step: optimiser steps done so far.

    Raises:
        TrainingError: naming what is not finite first: weights, labels, the output of a module, or the loss alone.
    """
    if bool(torch.isfinite(loss)):
        return
    culprit = "where it began is unknown, as the model is sharded" if model is None else find_culprit(model, inputs)
    raise TrainingError(
        f"the loss is {loss.item()} at step {step + 1}: {culprit}.",
        hint="Start again with a lower optim.lr or optim.clip_norm, or with optim.precision fp32.",
    )


def find_culprit(model: nn.Module, inputs: Mapping[str, Tensor]) -> str:
    """What is not finite, in words; the batch is run once more to find the module."""
    weights = [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]
    if weights:
        more = f" and {len(weights) - SHOWN} more" if len(weights) > SHOWN else ""
        return f"the weights {', '.join(weights[:SHOWN])}{more} are not finite, since an earlier step"
    if not torch.isfinite(inputs["labels"]).all():
        return "the labels of the batch are not finite"
    found: list[str] = []

    def note(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, (tuple, list)) else output
            if not found and isinstance(first, Tensor) and not torch.isfinite(first).all():
                found.append(name)

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in model.named_modules() if name]
    try:
        with torch.no_grad():
            model(**{name: inputs[name] for name in ("input_ids", "attention_mask")})
    finally:
        for handle in handles:
            handle.remove()
    if found:
        return f"the output of {found[0]} is not finite, though its weights are"
    return "weights, labels and logits are finite, so that the loss function itself overflowed"


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

    def metrics(self) -> dict[str, float]:
        """What the next entry of the training log holds besides loss and learning rate."""
        norms = self.gradients.norms if self.gradients is not None and self.log_gradients else {}
        return {**self.speed.metrics(), **norms}
