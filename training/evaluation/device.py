"""What the device of the training computes otherwise than the CPU, whose logits the bundle holds."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shared.calibration import Calibration
from shared.thresholds import Policies
from shared.tokenizer import TextTokenizer
from training.model.inference import predict_logits

log = logging.getLogger("training")

ROWS = 256
"""Rows, evenly spaced over dev, that are computed on both."""
ROUNDING = 1e-3
"""Share of the largest logit that sums in another order can move one by in fp32: 1.1e-4 was seen on an H200, of an
encoder of 109 million weights."""

Logits = NDArray[np.float32]


def sample_rows(count: int) -> NDArray[np.intp]:
    """Numbers of the rows to compare, among `count`."""
    return np.unique(np.linspace(0, count - 1, min(ROWS, count)).astype(np.intp))


def logits_on_device(model: nn.Module, tokenizer: TextTokenizer, rows: list[Any], *, batch_size: int) -> Logits:
    """Logits, shape (N, L), of N tokenised texts, in float32 on the device where the model is."""
    return predict_logits(model, tokenizer, rows, batch_size=batch_size)


def device_name(model: nn.Module) -> str:
    """The device where a model is, by its product name if it has one."""
    device = next(model.parameters()).device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def compare_devices(
    name: str, found: Logits, reference: Logits, calibration: Calibration, policies: Policies
) -> dict[str, Any]:
    """How far a device is from the CPU, ready for JSON; a warning in the log where rounding does not explain it.

    Args:
        name: of the device.
        found: its logits, shape (N, L).
        reference: those of the CPU for the same rows.
        calibration: from logits to probabilities.
        policies: the default one decides.
    """
    decided = [policies.decide(calibration.apply(np.nan_to_num(logits))) for logits in (found, reference)]
    finite, difference = bool(np.isfinite(found).all()), float(np.abs(found - reference).max(initial=0.0))
    explained = ROUNDING * max(1.0, float(np.abs(reference).max(initial=0.0)))
    result: dict[str, Any] = {
        "device": name,
        "rows": len(reference),
        "max_logit_difference": difference if finite else None,
        "explained_by_rounding": explained,
        "decisions": reference.size,
        "different_decisions": int((decided[0] != decided[1]).sum()),
    }
    if not finite or difference > explained:
        log.warning(
            "The logits of %s differ from those of the CPU by %s, more than rounding explains (%.2g): %d of %d "
            "decisions differ. The bundle and its metrics hold the CPU's.",
            name, f"up to {difference:.2g}" if finite else "some that are not finite", explained,
            result["different_decisions"], result["decisions"],
        )  # fmt: skip
    return result
