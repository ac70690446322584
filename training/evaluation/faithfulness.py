"""How faithful the reasons of a model are: a label after the words they name are gone, and after words at random are.

The words are those of the service's `explain`, and the model is asked in the precision that is evaluated.
Shapes: N texts, S shares of the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.occlusion import parts, without
from training.evaluation.inference import LogitsOf
from training.evaluation.measures import Predictions

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Of the words of a text that are taken out."""

FEWEST_WORDS, MOST_WORDS = 4, 60
"""Words of a text that is asked: of fewer no share can be taken, and more cost as many calls."""

DRAWS = 5
"""Random orders of the words of a text."""

Falls = NDArray[np.float64]


class Asked(NamedTuple):
    """A text, where its words are, and the label that is asked about."""

    text: str
    words: list[tuple[int, int]]
    label: int


def faithfulness(
    texts: Sequence[str], rows: Predictions, logits: LogitsOf, *, most_texts: int, seed: int = 0
) -> dict[str, Any] | None:
    """The deletion curve (Samek et al. 2017): the mean fall of a decided label's logit over the words taken out.

    Args:
        texts: N texts.
        rows: what was predicted for them; the label of a text is the most probable one decided.
        logits: of the model.
        most_texts: how many texts are asked, drawn at random of those with a decided label.
        seed: of the texts and of the random orders.

    Returns:
        `texts` asked, `shares` of words, and the falls `by_reasons` and `at_random` at each share; None where no text
        has a decided label and enough words, or none is to be asked.
    """
    generator = np.random.default_rng(seed)
    asked: list[Asked] = []
    for place in generator.permutation(np.flatnonzero(rows.decisions.any(axis=1))).tolist():
        if len(asked) == most_texts:
            break
        words = parts(texts[place])
        if FEWEST_WORDS <= len(words) <= MOST_WORDS:
            decided = np.where(rows.decisions[place], rows.probabilities[place], -np.inf)
            asked.append(Asked(texts[place], words, int(decided.argmax())))
    if not asked:
        return None
    whole = _of_labels(logits, [[each.text] for each in asked], asked)
    without_one = _of_labels(logits, [[without(each.text, word) for word in each.words] for each in asked], asked)
    losses = [full - rest for full, rest in zip(whole, without_one, strict=True)]
    by_reasons = [[np.argsort(-lost, kind="stable")] for lost in losses]
    at_random = [[generator.permutation(len(lost)) for _ in range(DRAWS)] for lost in losses]
    return {
        "texts": len(asked),
        "shares": list(SHARES),
        "by_reasons": _curve(asked, by_reasons, whole, logits),
        "at_random": _curve(asked, at_random, whole, logits),
    }


def _curve(
    asked: Sequence[Asked], orders: Sequence[Sequence[NDArray[np.intp]]], whole: Sequence[Falls],
    logits: LogitsOf,
) -> list[float]:  # fmt: skip
    """Mean fall at each share where the words go in these orders, shape (S,)."""
    wanted = [
        [_first_gone(each, order, share) for order in of_text for share in SHARES]
        for each, of_text in zip(asked, orders, strict=True)
    ]
    found = _of_labels(logits, wanted, asked)
    falls = [(full - rest).reshape(-1, len(SHARES)) for full, rest in zip(whole, found, strict=True)]
    return [float(fall) for fall in np.concatenate(falls).mean(axis=0)]


def _first_gone(asked: Asked, order: NDArray[np.intp], share: float) -> str:
    return without(asked.text, *(asked.words[place] for place in order[: max(1, round(share * len(order)))]))


def _of_labels(
    logits: LogitsOf, variants: Sequence[Sequence[str]], asked: Sequence[Asked]
) -> list[NDArray[np.float64]]:
    """Logits of the label asked about, of every variant of each text; all go to the model at once."""
    found = logits([variant for of_text in variants for variant in of_text])
    ends = np.cumsum([len(of_text) for of_text in variants])[:-1]
    of_texts = np.split(found, ends)
    return [rows[:, each.label].astype(np.float64) for rows, each in zip(of_texts, asked, strict=True)]
