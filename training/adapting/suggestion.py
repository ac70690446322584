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

EVENLY = 0.3
"""Share of the rows that all texts have the same chance for: they find out what a model is wrongly sure of."""

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
    seed: int = 0,
) -> Ints:
    """Row numbers of up to `count` texts to label, drawn with unequal chances.

    A text tells p (1 - p) of a label's shift (its Fisher information in logistic regression): much near the thresholds.
    Its chance grows with the share that it has of what all texts tell, label by label, so that rare labels get as
    much as frequent ones, and labels that little is known of more. `EVENLY` of the chances are the same for all texts.
    The draw is systematic (Madow 1949) along an order of the texts by label and by likeness, so that it covers both.

    Chances, not a ranking: the texts that a model is least sure of are not like the rest, and what is fitted on them
    alone is wrong for the rest (Farquhar, Gal and Rainforth 2021, https://arxiv.org/abs/2101.11665).

    Args:
        scores: calibrated logits, shape (M, L).
        vectors: what the texts are compared by, shape (M, D).
        texts: M texts.
        count: how many to take.
        labelled: the first so many rows are labelled already: they count as taken, and are not suggested.
        near_duplicate: cosine of two vectors above which the second text is left out.
        seed: of the draw.
    """
    random, information = np.random.default_rng(seed), _information(scores)
    directions, words = _directions(vectors), np.array([_words(text) for text in texts], dtype=object)
    order = _order(scores, directions)
    chances = _chances(information, PRIOR_INFORMATION + information[:labelled].sum(axis=0))
    free = np.arange(len(scores)) >= labelled
    taken: list[int] = list(range(labelled))
    kept = directions[:labelled]
    free &= ~np.isin(words, words[:labelled])
    while len(taken) - labelled < count and free.any():
        for row in random.permutation(_systematic(chances, order[free[order]], count + labelled - len(taken), random)):
            if free[row] and (len(kept) == 0 or (kept @ directions[row]).max() <= near_duplicate):
                taken.append(int(row))
                kept = np.vstack([kept, directions[row]])
                free &= words != words[row]
            free[row] = False
    return np.array(taken[labelled:], dtype=np.intp)


def _information(scores: Floats) -> Floats:
    p = sigmoid(scores)
    return np.asarray(p * (1 - p))


def _chances(information: Floats, known: Floats) -> Floats:
    """How likely each text is to be drawn, shape (M,), up to a factor."""
    shares = information / np.maximum(information.sum(axis=0), 1e-12)
    wanted = 1 / known
    return np.asarray(EVENLY / len(shares) + (1 - EVENLY) * shares @ (wanted / wanted.sum()))


def _order(scores: Floats, directions: Floats) -> Ints:
    """The texts by the label that each stands out for, and by the first principal axis of their vectors within it."""
    p = sigmoid(scores)
    label = np.argmax(p / np.maximum(p.mean(axis=0), 1e-12), axis=1)
    axis = np.linalg.eigh(directions.T @ directions)[1][:, -1]
    return np.asarray(np.lexsort((directions @ axis, label)))


def _systematic(chances: Floats, order: Ints, count: int, random: np.random.Generator) -> Ints:
    """`count` of the rows in `order`, by `chances`, at even steps from a random start."""
    if len(order) <= count:
        return order
    certain, steps = np.zeros(len(order), bool), chances[order]
    while True:  # no row is drawn twice: what fills a step by itself is taken, and the others share the rest
        sizes = np.where(certain, 1.0, steps * (count - certain.sum()) / steps[~certain].sum())
        if not (over := (sizes > 1) & ~certain).any():
            break
        certain |= over
    ends = np.cumsum(sizes)
    places = np.searchsorted(ends, random.random() + np.arange(count))
    return np.asarray(order[np.unique(np.minimum(places, len(order) - 1))])


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
