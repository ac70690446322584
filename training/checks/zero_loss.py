"""Why a loss is 0.0000.

Shapes: N examples, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from training.losses.elementwise import Loss


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
