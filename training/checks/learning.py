"""Whether model and loss can learn at all, tried on one small batch with a copy of the model.

Shapes: N examples, L labels, T tokens.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from shared.errors import PreflightError
from shared.modeling.device import torch_device
from training.checks.check import Check
from training.config import Config, OptimConfig
from training.data.collate import Collator
from training.loop.training_rows import TrainingRows
from training.losses.elementwise import Loss
from training.optim.optimizer import build_optimizer

STEPS = 20
"""Optimiser steps on the one batch."""
ROWS = 8
"""Rows of the batch."""
SHOWN = 3
"""Weights that a message names."""
ZERO = 5e-5
"""Losses below this are shown as 0.0000."""
NO_GRADIENT = ("key.bias", "key_proj.bias", "k_lin.bias")
"""A softmax does not change when all of its scores do: the bias of the keys alone has a gradient of 0."""


@dataclass
class Trial:
    """A copy of the model that is trained a little, without dropout, on rows spread evenly over the corpus.

    Neither the model nor any random state is changed.
    """

    model: nn.Module
    batch: dict[str, Tensor]
    loss: Loss
    optim: OptimConfig
    reached: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, model: nn.Module, rows: TrainingRows, config: Config) -> Trial:
        """A trial on the device that training will use."""
        device = torch_device()
        count = min(ROWS, len(rows.train), max(2, config.optim.batch_size))
        chosen = [rows.train[i * len(rows.train) // count] for i in range(count)]
        batch = {name: values.to(device) for name, values in Collator(rows.tokenizer)(chosen).items()}
        return cls(copy.deepcopy(model).to(device).eval(), batch, rows.loss, config.optim)

    @cached_property
    def logits(self) -> Tensor:
        """Logits of the untrained model, shape (N, L)."""
        with torch.no_grad():
            return self._forward().float()

    @cached_property
    def losses(self) -> list[float]:
        """The loss before each of the steps and after the last; which weights had a gradient goes into `reached`."""
        self.logits  # noqa: B018  (of the untrained model)
        optimizer = build_optimizer(self.model, self.optim)
        rates = [group["lr"] for group in optimizer.param_groups]
        found = []
        for step in range(STEPS):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * min(1.0, 2 * (step + 1) / STEPS)  # a short warm-up
            optimizer.zero_grad()
            loss = self.loss_of(self._forward())
            found.append(loss.item())
            if not math.isfinite(found[-1]):
                return found
            loss.backward()  # type: ignore[no-untyped-call]
            self._note_gradients()
            if self.optim.clip_norm:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.optim.clip_norm)
            optimizer.step()
        with torch.no_grad():
            found.append(float(self.loss_of(self._forward())))
        return found

    def loss_of(self, logits: Tensor) -> Tensor:
        """The loss of the batch for logits of shape (N, L)."""
        return self.loss(logits, self.batch["labels"], self.batch["known"])

    def _forward(self) -> Tensor:
        logits: Tensor = self.model(**{name: self.batch[name] for name in ("input_ids", "attention_mask")}).logits
        return logits

    def _note_gradients(self) -> None:
        for name, weight in self.model.named_parameters():
            if name not in self.reached and weight.grad is not None and bool(weight.grad.any()):
                self.reached.add(name)


def learning_checks(model: nn.Module, rows: TrainingRows, config: Config) -> list[Check]:
    """Checks of model and loss; they share one trial, which is made when the first of them runs."""
    trials: list[Trial] = []

    def trial() -> Trial:
        if not trials:
            trials.append(Trial.of(model, rows, config))
        return trials[0]

    return [
        Check("initial_loss", lambda: check_initial_loss(trial())),
        Check("outputs", lambda: check_outputs(trial())),
        Check("one_batch", lambda: check_one_batch(trial())),
        Check("gradients", lambda: check_gradients(trial())),
    ]


def check_initial_loss(trial: Trial) -> str:
    """Whether the loss of the untrained model is finite, not zero, and no worse than guessing.

    Raises:
        PreflightError: saying where a loss of 0.0000, NaN or one far too high comes from.
    """
    loss = float(trial.loss_of(trial.logits))
    if not math.isfinite(loss):
        bad = [name for name, weight in trial.model.named_parameters() if not torch.isfinite(weight).all()]
        where = f"the weights of {', '.join(bad[:SHOWN])} are not finite" if bad else "all weights are finite"
        raise PreflightError(f"the loss of the untrained model is {loss}; {where}.", hint="Check the checkpoint.")
    if abs(loss) < ZERO:
        raise PreflightError(f"the loss is 0.0000: {explain_zero(trial.loss, trial.logits, trial.batch)}")
    guessing = float(trial.loss_of(torch.zeros_like(trial.logits)))
    if loss > 3 * guessing:
        raise PreflightError(
            f"the loss of the untrained model is {loss:.4f}, while guessing (all logits 0) has {guessing:.4f}.",
            hint="The new head or the checkpoint has weights that are far too large.",
        )
    return f"{loss:.4f} before training; guessing has {guessing:.4f}"


def check_outputs(trial: Trial) -> str:
    """Whether different texts get different logits.

    Raises:
        PreflightError: when they get the same.
    """
    spread = float(trial.logits.std(dim=0).max()) if len(trial.logits) > 1 else math.inf
    same_input = bool((trial.batch["input_ids"] == trial.batch["input_ids"][0]).all())
    if spread < 1e-6 and not same_input:
        raise PreflightError(
            f"the logits of {len(trial.logits)} different texts are the same (largest deviation {spread:.1e}).",
            hint="The encoder passes nothing on: check that its weights were loaded and the tokenizer belongs to it.",
        )
    return f"logits of {len(trial.logits)} texts deviate by up to {spread:.3f}"


def check_one_batch(trial: Trial) -> str:
    """Whether the loss of one batch falls in a few steps with the configured optimiser.

    Raises:
        PreflightError: when it rises, or does not move, with the reason that fits.
    """
    losses = trial.losses
    first, last = losses[0], losses[-1]
    if math.isfinite(last) and last < first:
        return f"loss {first:.4f} -> {last:.4f} in {STEPS} steps on {len(trial.logits)} rows"
    rate = f"optim.lr {trial.optim.lr:g} with {trial.optim.optimizer}"
    seen = f"the loss of one batch went from {first:.4f} to {last:.4f} in {STEPS} steps"
    if not trial.reached:
        raise PreflightError(f"{seen}: no trained weight gets a gradient.", hint="Check tuning.method and the loss.")
    if not math.isfinite(last) or max(losses) > 1.05 * first:
        raise PreflightError(f"{seen}: {rate} is too high.", hint="Lower --optim.lr, for instance to a tenth.")
    raise PreflightError(
        f"{seen}: {rate} is too low to move the weights, or the gradient does not lead downhill.",
        hint="Raise --optim.lr; if that does not help, check the loss.",
    )


def check_gradients(trial: Trial) -> str:
    """Whether every weight that is to be trained gets a gradient in some step.

    Raises:
        PreflightError: naming those that get none.
    """
    trial.losses  # noqa: B018  (fills `reached`)
    trained = [name for name, weight in trial.model.named_parameters() if weight.requires_grad]
    missed = [name for name in trained if name not in trial.reached and not name.endswith(NO_GRADIENT)]
    if not trained or missed:
        more = f" and {len(missed) - SHOWN} more" if len(missed) > SHOWN else ""
        named = f"{', '.join(missed[:SHOWN])}{more}" if trained else "nothing is trainable"
        raise PreflightError(
            f"no gradient reaches {len(missed)} of {len(trained)} trainable weights: {named}.",
            hint="Freeze what the output does not depend on, or check tuning.method.",
        )
    return f"reach all {len(trained)} trainable weights"


def explain_zero(loss: Loss, logits: Tensor, batch: Mapping[str, Tensor]) -> str:
    """The cause of a loss that is zero, and what to do.

    Args:
        loss: the loss.
        logits: of the untrained model, shape (N, L).
        batch: `labels` and `known`, both of shape (N, L).
    """
    labels, known = batch["labels"], batch["known"]
    if not known.any():
        return "no entry of the batch is annotated (all unknown). Check the label names of the corpus."
    probabilities = torch.sigmoid(logits)
    if not (labels * known).any():
        return (
            f"no row of the batch has a label, and the model expects none (largest probability "
            f"{float(probabilities[known].max()):.4f}). Check the label column of the corpus."
        )
    if logits.shape[1] == 1 and float(loss(torch.zeros_like(logits), labels, known)) == 0.0:
        return "a softmax over one label is always 1. Use --loss.name bce, or name more labels."
    if float(loss(torch.zeros_like(logits), labels, known)) == 0.0:
        return "the loss is zero even for all logits 0, so its weights or shares are 0. Check the options of the loss."
    gap = float((probabilities - labels).abs()[known].max())
    return (
        f"the model already fits the batch (largest error {gap:.4f}): it was trained on it, or the labels stand in "
        "the texts. Check the checkpoint and the corpus."
    )
