"""Reasons by occlusion: what a label's log-odds lose when a word is taken out (Zeiler & Fergus 2014, Li et al. 2016).

Evidence about the model, not about the person who wrote the text: it says what this network reacted to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.http.response_schemas import DIGITS
from serving.http.responses import DecisionRules
from shared.bundle import Bundle
from shared.labels import group_speakers
from shared.occlusion import parts
from shared.thresholds import decide

SMALLEST = 1e-7
"""Probabilities are kept so far from 0 and 1 before they become log-odds."""


def log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln(p / (1 - p)), of probabilities that are kept off 0 and 1."""
    p = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(p) - np.log1p(-p))


def reasons(
    text: str,
    whole: NDArray[np.float64],
    occluded: Sequence[NDArray[np.float64]],
    rules: DecisionRules,
    bundle: Bundle,
    *,
    offset: int = 0,
) -> dict[str, list[dict[str, Any]]]:
    """Decided label -> what each part adds to its log-odds, the largest first.

    Of a group these are the log-odds of the member that speaks for it in the whole segment: without a word another one
    may, and the difference between two members says nothing of the word.

    Args:
        text: the segment.
        whole: its probabilities, shape (L,).
        occluded: those without each of its `parts`, in their order.
        rules: which labels are decided.
        bundle: whose labels they are.
        offset: where the segment begins in the text as it was given.
    """
    names = tuple(rules.taxonomy.groups)
    (speakers,) = group_speakers(whole[None], rules.thresholds, bundle.label_set, rules.taxonomy)
    decided = np.flatnonzero(decide(whole[speakers], rules.thresholds[speakers], argmax=rules.argmax))
    lost = (log_odds(whole) - log_odds(np.stack(occluded)))[:, speakers]
    found = parts(text)
    return {
        names[label]: [
            {
                "start": offset + found[place][0],
                "end": offset + found[place][1],
                "word": text[slice(*found[place])],
                "contribution": round(float(lost[place, label]), DIGITS),
            }
            for place in np.argsort(-lost[:, label], kind="stable").tolist()
        ]
        for label in decided.tolist()
    }
