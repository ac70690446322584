"""Where a loss that is NaN or infinite comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from shared.errors import TrainingError

SHOWN = 3


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
    culprit = "where it began cannot be told of a model in pieces" if model is None else find_culprit(model, inputs)
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
