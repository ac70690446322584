"""Logits of a whole split, in float32 and in the order of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shared.tokenizer import TextTokenizer


def predict_logits(
    model: nn.Module,
    tokenizer: TextTokenizer,
    rows: Sequence[NDArray[np.integer[Any]]],
    *,
    batch_size: int,
) -> NDArray[np.float32]:
    """Logits, shape (N, L), without autocast: these are what calibration, metrics and verification stand on.

    Args:
        model: a classifier; it is put into evaluation mode and left there.
        tokenizer: pads the rows.
        rows: token ids of N texts, special tokens included.
        batch_size: rows of one forward pass; rows of similar length share one.
    """
    model.eval()
    device = next(model.parameters()).device
    order = np.argsort([-len(row) for row in rows], kind="stable")
    parts: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            batch = tokenizer.pad([np.asarray(rows[i]) for i in order[start : start + batch_size]])
            inputs = {name: torch.from_numpy(array).to(device) for name, array in batch.items()}
            parts.append(model(**inputs).logits.float().cpu().numpy())
    logits = np.concatenate(parts)
    logits[order] = logits.copy()
    return logits
