"""Which texts to label, and what more labelled rows would bring.

Shapes: M texts, N labelled rows, L labels, D width of the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.calibration import sigmoid
from training.adapting.adapt import Evidence, Fit, Parent, adapt, present_macro_f1
from training.data.keys import alike

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

MOST_TEXTS = 3000
"""Of more, so many are drawn at random first: each is compared with all others."""

DECIDED = 1e-9
"""A chance that is no further from 0 or 1 is that number; the rest is rounding."""

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
    """Row numbers of up to `count` texts to label, in the order of the draw.

    Every text is equally likely, so that what is fitted and estimated on them holds for the texts at large, and they
    are spread over what the model says and over what the texts are alike in: the local pivotal method (Grafström,
    Lundström and Schelin 2012, https://doi.org/10.1111/j.1541-0420.2011.01699.x). Texts that a model is unsure of are
    not favoured: what is fitted on them is wrong for the rest (Farquhar, Gal and Rainforth 2021,
    https://arxiv.org/abs/2101.11665).

    Args:
        scores: calibrated logits, shape (M, L).
        vectors: what the texts are compared by, shape (M, D).
        texts: M texts.
        count: how many to take.
        labelled: the first so many rows are labelled already: they and what is like them are not suggested.
        near_duplicate: cosine of two vectors above which the second text is left out.
        seed: of the draw.
    """
    random = np.random.default_rng(seed)
    directions, words = _directions(vectors), [alike(text) or text for text in texts]
    seen, free = set(words[:labelled]), []
    for row in random.permutation(np.arange(labelled, len(texts))).tolist():
        if words[row] not in seen:
            seen.add(words[row])
            free.append(row)
    left: Ints = np.array(free[: max(MOST_TEXTS, count)], dtype=np.intp)
    left = left[_likeness(directions[left], directions[:labelled]) <= near_duplicate]
    taken: Ints = np.zeros(0, dtype=np.intp)
    while len(taken) < count and len(left):
        drawn = left[_spread(_places(scores[left], vectors[left]), count - len(taken), random)]
        left = np.setdiff1d(left, drawn)
        for row in drawn:
            if _likeness(directions[[row]], directions[taken])[0] <= near_duplicate:
                taken = np.append(taken, row)
        left = left[_likeness(directions[left], directions[taken]) <= near_duplicate]
    return taken


def _places(scores: Floats, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Where the texts lie, shape (M, L + D): probabilities in units of their spread, beside vectors of equal weight."""
    p = sigmoid(scores)
    parts = []
    for part in (p / np.maximum(p.std(axis=0), 1e-12), vectors.astype(np.float64)):
        centred = part - part.mean(axis=0)
        parts.append(centred / (np.sqrt((centred**2).sum(axis=1).mean()) or 1.0))
    return np.hstack(parts).astype(np.float32)


def _spread(places: NDArray[np.float32], count: int, random: np.random.Generator) -> Ints:
    """`count` of M places, each with the same chance, and neighbours seldom together; in random order.

    A place at random and its nearest neighbour settle which of them has the chance of both, until all are decided.
    """
    total = len(places)
    if count >= total:
        return random.permutation(total)
    chances, squares = np.full(total, count / total), (places**2).sum(axis=1)
    undecided = np.arange(total)
    while len(undecided) > 1:
        one = int(random.choice(undecided))
        distances = squares - 2 * places @ places[one]
        distances[one] = np.inf
        other = int(np.argmin(distances))
        both = chances[one] + chances[other]
        least, most = max(0.0, both - 1), min(1.0, both)
        wins = random.random() * (most - least) < chances[one] - least
        chances[one], chances[other] = (most, least) if wins else (least, most)
        for place in (one, other):
            if min(chances[place], 1 - chances[place]) < DECIDED:
                squares[place] = np.inf
        undecided = np.flatnonzero(np.isfinite(squares))
    return random.permutation(np.flatnonzero(chances > 1 / 2))


def _likeness(first: Floats, others: Floats) -> Floats:
    """Cosine of each direction with the one of `others` that it is most like, shape (M,); -1 where there is none."""
    return np.asarray((first @ others.T).max(axis=1, initial=-1.0))


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
