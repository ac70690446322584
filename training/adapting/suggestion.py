"""Which texts are most worth labelling, and what more labelled rows would bring.

Shapes: M texts, N labelled rows, L labels, D width of the vectors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.calibration import sigmoid
from training.adapting.adapt import Evidence, Fit, Parent, adapt, present_macro_f1

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

PRIOR_INFORMATION = 1.0
"""What is known of a label's shift before a row is labelled, as the inverse of its variance in logits."""

NEAR_DUPLICATE = 0.9
"""Cosine of two centred vectors above which texts say much the same."""

SHARES = (0.25, 0.5, 0.8)
"""Of the labelled rows, on which the learning curve is measured."""

DRAWS = 6
RESAMPLES = 1000


def suggest(
    scores: Floats,
    vectors: NDArray[np.floating],
    texts: Sequence[str],
    count: int,
    *,
    labelled: int = 0,
    near_duplicate: float = NEAR_DUPLICATE,
) -> Ints:
    """Row numbers of up to `count` texts to label, the most telling one first.

    Each step takes the text that tells most of how the labels are shifted: sum over labels of log(1 + p (1 - p) / I),
    with I what the texts before it tell of the label (Bayesian D-optimal design for the shifts of logistic regression,
    Chaloner and Verdinelli 1995). It grows near the thresholds and for labels that little is known of. It counts by the
    distance to the nearest text that was taken; near duplicates of one are left out.

    Args:
        scores: calibrated logits, shape (M, L).
        vectors: what the texts are compared by, shape (M, D).
        texts: M texts.
        count: how many to take.
        labelled: the first so many rows are labelled already: they count as taken, and are not suggested.
        near_duplicate: cosine of two vectors above which the second text is left out.
    """
    p = sigmoid(scores)
    information = p * (1 - p)
    known = PRIOR_INFORMATION + information[:labelled].sum(axis=0)
    directions = _directions(vectors)
    nearest = np.full(len(scores), -1.0)
    words = [_words(text) for text in texts]
    free = np.arange(len(scores)) >= labelled
    taken: list[int] = []
    for row in range(labelled):
        nearest = np.maximum(nearest, directions @ directions[row])
    free &= ~np.isin(np.array(words, dtype=object), words[:labelled])
    while len(taken) < count and (free & (nearest <= near_duplicate)).any():
        gain = np.log1p(information / known).sum(axis=1) * (1 - np.maximum(nearest, 0))
        row = int(np.argmax(np.where(free & (nearest <= near_duplicate), gain, -np.inf)))
        taken.append(row)
        known = known + information[row]
        nearest = np.maximum(nearest, directions @ directions[row])
        free &= np.array([other != words[row] for other in words])
    return np.array(taken, dtype=np.intp)


@dataclass(frozen=True)
class LearningCurve:
    """Macro F1 on rows left out, by the number of labelled rows.

    Attributes:
        points: rows -> macro F1, the mean of several draws.
        gain: macro F1 that `more` rows would bring: the estimate and its 95 % interval.
        more: so many rows.
    """

    points: dict[int, float]
    gain: tuple[float, float, float]
    more: int


def learning_curve(
    parent: Parent, evidence: Evidence, more: int, seed: int = 0, *, fit: Fit = adapt
) -> LearningCurve:  # fmt: skip
    """Fit parts of the rows, judge each on the others, and go on along a + b log(rows); b is not below 0.

    The interval is of the bootstrap over the draws, in which a point of every size is kept together.
    """
    random, count = np.random.default_rng(seed), len(evidence.logits)
    sizes = [round(share * count) for share in SHARES]
    found = np.empty((DRAWS, len(sizes)))
    for draw in range(DRAWS):
        order = random.permutation(count)
        outside = evidence.take(order[sizes[-1] :])
        for place, size in enumerate(sizes):
            fitted = fit(parent, evidence.take(order[:size]), seed)
            decided = fitted.decisions(fitted.logits(outside))
            found[draw, place] = present_macro_f1(outside.truth, decided, outside.known)
    logs = np.log(sizes)
    slopes = (found - found.mean(axis=1, keepdims=True)) @ (logs - logs.mean()) / ((logs - logs.mean()) ** 2).sum()
    drawn = slopes[random.integers(0, DRAWS, (RESAMPLES, DRAWS))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    ahead = np.log((count + more) / count)
    gain = tuple(float(max(0.0, slope) * ahead) for slope in (slopes.mean(), low, high))
    points = dict(zip(sizes, (float(value) for value in found.mean(axis=0)), strict=True))
    return LearningCurve(points, (gain[0], gain[1], gain[2]), more)


def _directions(vectors: NDArray[np.floating]) -> Floats:
    """Vectors around their mean, of length 1, shape (M, D)."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12))


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
