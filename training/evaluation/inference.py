"""Logits of a bundle for the texts of a split, and what it costs to get them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.bundle import Bundle
from shared.cli import default_threads

LogitsOf = Callable[[Sequence[str]], NDArray[np.float32]]
"""Logits, shape (N, L), of N texts."""

TEXTS_AT_ONCE = 8192
"""Texts that are tokenised and sorted by length together: bounds the memory."""

SINGLE_TEXTS, MANY_TEXTS = 40, 512
"""Texts timed one by one, and in batches."""


def trained_logits(bundle: Bundle, *, batch_size: int, threads: int | None) -> LogitsOf:
    """The model as it was trained; only this needs torch, whose threads are set for as long as it computes.

    Args:
        bundle: whose weights are loaded.
        batch_size: rows of one forward pass.
        threads: CPU threads; what the machine or the container allows when None.
    """
    from shared.modeling.classifier import load_classifier  # noqa: PLC0415
    from shared.modeling.device import torch_device, torch_threads  # noqa: PLC0415
    from training.model.inference import predict_logits  # noqa: PLC0415

    model = load_classifier(bundle.path)
    model.to(torch_device())  # type: ignore[arg-type]
    tokenizer = bundle.tokenizer()

    def logits(texts: Sequence[str]) -> NDArray[np.float32]:
        parts = []
        with torch_threads(threads or default_threads()):
            for start in range(0, len(texts), TEXTS_AT_ONCE):
                rows = [row.ids for row in tokenizer.encode(texts[start : start + TEXTS_AT_ONCE])]
                parts.append(predict_logits(model, tokenizer, rows, batch_size=batch_size))
        return np.concatenate(parts)

    return logits


def cost(logits: LogitsOf, texts: Sequence[str], file: Path) -> dict[str, float]:
    """Size of a model in MB, median milliseconds of a text alone, and texts a second of many.

    Args:
        logits: of the model, warm or not.
        texts: some real ones, in any order.
        file: the weights.
    """
    single, many = texts[:SINGLE_TEXTS], texts[:MANY_TEXTS]
    logits(single[:2])
    seconds = []
    for text in single:
        start = time.perf_counter()
        logits([text])
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    logits(many)
    return {
        "size_mb": file.stat().st_size / 1e6,
        "ms_one_text": 1000 * float(np.median(seconds)),
        "texts_per_s": len(many) / (time.perf_counter() - start),
    }
