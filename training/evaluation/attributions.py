"""Which words a label rests on: integrated gradients, occlusion, and how faithful either is.

Online, reasons are by occlusion (`serving.http.reasons`), which needs no gradients. Here both are computed on the
trained model, so that each can be checked against the other.

Shapes: N texts, T tokens, D width.
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


def deletion_curve(model: Any, ids: Sequence[int], label: int, attributions: Floats, shares: Sequence[float]) -> Floats:
    """The label's logit without the tokens of the highest attributions, for each share of them, shape (len(shares),).

    The faster it falls, the more faithful the attributions (Samek et al. 2017).
    """
    order = 1 + np.argsort(-attributions[1:-1], kind="stable")
    rows = []
    for share in shares:
        gone = set(order[: round(share * len(order))].tolist())
        rows.append([token for place, token in enumerate(ids) if place not in gone])
    with torch.no_grad():
        return np.concatenate([_logits(model, [row], label) for row in rows])


def faithfulness(
    model: Any, rows: Sequence[Sequence[int]], labels: Sequence[int], *, draws: int = 5, seed: int = 0
) -> dict[str, float]:
    """Mean fall of a label's logit over the deletion of 10 to 50 % of the tokens: by occlusion, and at random.

    Args:
        model: the classifier.
        rows: token ids of N texts, special tokens included.
        labels: a decided label of each.
        draws: random orders a text.
        seed: of the orders.
    """
    shares, generator = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), np.random.default_rng(seed)
    falls: dict[str, list[float]] = {"occlusion": [], "random": []}
    for ids, label in zip(rows, labels, strict=True):
        curves = {
            "occlusion": [occlusion(model, ids, label)],
            "random": [generator.random(len(ids)) for _ in range(draws)],
        }
        for name, found in curves.items():
            for attributions in found:
                curve = deletion_curve(model, ids, label, attributions, shares)
                falls[name].append(float(curve[0] - curve[1:].mean()))
    return {name: float(np.mean(values)) if values else float("nan") for name, values in falls.items()}


def _logits(model: Any, rows: Sequence[Sequence[int]], label: int) -> Floats:
    """Logits of one label of rows of equal length, shape (len(rows),)."""
    ids = torch.tensor([list(row) for row in rows])
    found = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, label]
    return np.asarray(found.detach().double().numpy())
