"""Which tokens a label rests on: integrated gradients and occlusion.

Online, reasons are by occlusion (`serving.http.reasons`), which needs no gradients. Here both are computed on the
trained model, so that each can be checked against the other; how faithful occlusion is says `faithfulness`.

Shapes: T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
STEPS = 50


def integrated_gradients(model: Any, ids: Sequence[int], label: int, pad_id: int, steps: int = STEPS) -> Floats:
    """What each token adds to a label's logit against the same text of padding tokens, shape (T,).

    The attributions add up to the difference of the two logits (Sundararajan et al. 2017, by Captum).

    Args:
        model: a classifier with `get_input_embeddings`, called with input_ids and attention_mask.
        ids: of one text, special tokens included; those at both ends stay in the baseline.
        label: column of the logits.
        pad_id: the token of the baseline.
        steps: points on the way from the baseline to the text.
    """
    from captum.attr import LayerIntegratedGradients  # noqa: PLC0415  (heavy)

    row = torch.tensor([list(ids)])
    baseline = torch.full_like(row, pad_id)
    baseline[0, 0], baseline[0, -1] = row[0, 0], row[0, -1]

    def logit(input_ids: Tensor) -> Tensor:
        found: Tensor = model(input_ids=input_ids, attention_mask=torch.ones_like(input_ids)).logits[:, label]
        return found

    method = LayerIntegratedGradients(logit, model.get_input_embeddings())
    found = method.attribute(row, baseline, n_steps=steps, internal_batch_size=steps)
    return np.asarray(found.sum(dim=-1)[0].detach().double().numpy())


def occlusion(model: Any, ids: Sequence[int], label: int) -> Floats:
    """What a label's logit loses without each token, shape (T,); 0 for the special tokens at both ends."""
    every = [list(ids), *([*ids[:place], *ids[place + 1 :]] for place in range(1, len(ids) - 1))]
    with torch.no_grad():
        whole = _logits(model, every[:1], label)
        without = _logits(model, every[1:], label) if len(every) > 1 else np.zeros(0)
    return np.concatenate([[0.0], whole - without, [0.0]])


def _logits(model: Any, rows: Sequence[Sequence[int]], label: int) -> Floats:
    """Logits of one label of rows of equal length, shape (len(rows),)."""
    ids = torch.tensor([list(row) for row in rows])
    found = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, label]
    return np.asarray(found.detach().double().numpy())
