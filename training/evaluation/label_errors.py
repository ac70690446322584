"""Rows whose labels may be wrong: confident learning over the model's own probabilities, for a person to review.

The rows must not have been trained on. The score is cleanlab's for labels of which several may hold (Thyagarajan et
al., Identifying Incorrect Annotations in Multi-Label Classification Data, 2022; https://docs.cleanlab.ai), with entries
that nobody annotated left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.measures import Floats, Predictions

SHOWN = 40
SMOOTHING = 0.8
"""Weight of each lower confidence in the exponential average; cleanlab's default."""

CANDIDATES_FROM = 200_000
"""Rows that are scored; of more, the ones with the largest loss."""


def label_quality(rows: Predictions) -> Floats:
    """How well the given labels of each row agree with the model, 0..1, shape (N,); low is suspicious.

    The confidence in every given answer, p or 1 - p, sorted from the highest to the lowest and averaged exponentially,
    so that the lowest weighs most. An unknown entry was given no answer, so it agrees with everything.
    """
    confidence = np.where(rows.truth, rows.probabilities, 1 - rows.probabilities)
    confidence = -np.sort(-np.where(rows.known, confidence, 1.0), axis=1)
    quality = confidence[:, 0]
    for column in confidence.T[1:]:
        quality = SMOOTHING * column + (1 - SMOOTHING) * quality
    return np.asarray(quality, dtype=np.float64)


def candidates(
    rows: Predictions, losses: Floats, labels: Sequence[str], texts: Sequence[str], ids: Sequence[str]
) -> list[dict[str, Any]]:
    """The rows with the lowest quality of labels, the worst first, ready for JSON.

    Args:
        rows: predictions for N rows.
        losses: of each row, shape (N,).
        labels: names of the L columns.
        texts: of the N rows; left out of the result where empty.
        ids: of the N rows.
    """
    places: NDArray[np.intp] = np.argsort(-losses, kind="stable")[:CANDIDATES_FROM]
    quality = label_quality(rows.take(places))
    found = []
    for rank in np.argsort(quality, kind="stable")[:SHOWN]:
        place = int(places[rank])
        p, given = rows.probabilities[place], rows.truth[place] & rows.known[place]
        missing = rows.known[place] & ~given
        found.append({
            "id": ids[place], "quality": float(quality[rank]),
            "text": texts[int(place)] if len(texts) else None,
            "given": {labels[column]: float(p[column]) for column in np.flatnonzero(given).tolist()},
            "suggested": {
                labels[column]: float(p[column])
                for column in np.argsort(-np.where(missing, p, -1.0), kind="stable")[:2]
                if missing[column]
            },
        })  # fmt: skip
    return found
