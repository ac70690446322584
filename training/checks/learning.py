"""Whether model and loss can learn at all, tried on one small batch with a copy of the model.

Shapes: N examples, L labels, T tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from peft import PeftModel
from torch import Tensor, nn

from shared.errors import PreflightError
from shared.modeling.checkpoints import longest_input
from training.checks.check import Check
from training.checks.trial import ROUNDING, STEPS, Trial
from training.config import Config
from training.loop.training_rows import TrainingRows
from training.losses.elementwise import Loss

SHOWN = 3
"""Weights that a message names."""
ZERO = 5e-5
"""Losses below this are shown as 0.0000."""
RARE = -4.0
"""Log odds of rare labels, at which a head begins where most rows have none."""
PADDING = 8
"""Tokens of padding that a text must not notice."""


def learning_checks(model: nn.Module, rows: TrainingRows, config: Config, precision: str = "fp32") -> list[Check]:
    """Checks of model and loss in a precision; they share one trial, which is made when the first of them runs."""
    trials: list[Trial] = []

    def trial() -> Trial:
        if not trials:
            trials.append(Trial.of(model, rows, config, precision))
        return trials[0]

    return [
        Check("initial_loss", lambda: check_initial_loss(trial())),
        Check("outputs", lambda: check_outputs(trial())),
        Check("padding", lambda: check_padding(trial())),
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
    guessing, none = (float(trial.loss_of(torch.full_like(trial.logits, value))) for value in (0.0, RARE))
    if loss > 3 * max(guessing, none):
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
    if len(trial.logits) == 1:
        return "one text, so nothing to compare"
    spread = float(trial.logits.std(dim=0).max())
    same_input = bool((trial.batch["input_ids"] == trial.batch["input_ids"][0]).all())
    if spread < 1e-6 and not same_input:
        raise PreflightError(
            f"the logits of {len(trial.logits)} different texts are the same (largest deviation {spread:.1e}).",
            hint="The encoder passes nothing on: check that its weights were loaded and the tokenizer belongs to it.",
        )
    return f"logits differ between {len(trial.logits)} texts, with a standard deviation of up to {spread:.3f}"


def check_padding(trial: Trial) -> str:
    """Whether a text alone has the logits that it has beside a longer one, in float32.

    Raises:
        PreflightError: when padding changes them.
    """
    ids, mask = trial.batch["input_ids"][:1], trial.batch["attention_mask"][:1]
    length = int(mask.sum())
    ids, mask = ids[:, :length], mask[:, :length]
    longest = longest_input(trial.model)
    extra = PADDING if longest is None else min(PADDING, longest - length)
    with torch.no_grad():
        alone = trial.exact(ids, mask)
        padded = trial.exact(*(nn.functional.pad(x, (0, extra), value=v) for x, v in ((ids, trial.padding), (mask, 0))))
    difference = float((alone - padded).abs().max())
    if not difference <= ROUNDING * max(1.0, float(alone.abs().max())):
        raise PreflightError(
            f"a text's logits change by {difference:.2g} when {extra} tokens of padding follow it: the encoder sees "
            "padding, so that an answer would depend on the texts beside it.",
            hint="Choose another encoder: docs/training.md lists those that are tested.",
        )
    return f"{extra} tokens of it change the logits of a text by {difference:.1g}"


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
    """Whether every weight that is to be trained and that the logits depend on gets a gradient in some step.

    Architectures have weights that a classifier does not use, such as BigBird's pooler, and the bias of the keys, which
    changes no softmax: where a weight of the encoder can be changed without moving a logit, no gradient is right.

    Raises:
        PreflightError: naming those that get none.
    """
    trial.losses  # noqa: B018  (fills `reached`)
    trained = [name for name, weight in trial.model.named_parameters() if weight.requires_grad]
    missed = [name for name in trained if name not in trial.reached]
    unused = [name for name in missed if _is_of_encoder(trial.model, name)]
    if unused and not trial.moves_logits(unused):
        missed = [name for name in missed if name not in unused]
    else:
        unused = []
    if not trained or missed:
        more = f" and {len(missed) - SHOWN} more" if len(missed) > SHOWN else ""
        named = f"{', '.join(missed[:SHOWN])}{more}" if trained else "nothing is trainable"
        raise PreflightError(
            f"no gradient reaches {len(missed)} of {len(trained)} trainable weights: {named}.",
            hint="Freeze what the output does not depend on, or check tuning.method.",
        )
    without = f"; the logits do not depend on the other {len(unused)}, such as {unused[0]}" if unused else ""
    return f"reach {len(trained) - len(unused)} of {len(trained)} trainable weights{without}"


def _is_of_encoder(model: nn.Module, name: str) -> bool:
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    return f".{getattr(base, 'base_model_prefix', '')}." in f".{name}"


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
