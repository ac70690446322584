"""What noise costs: mistyped characters, phrases said another way, words replaced, texts cut off.

The labels of the changed texts are those of the originals, which is true of typing errors and nearly so of the others.
Shapes: N rows, L labels.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.context import context_of, with_context
from shared.metrics import macro_f1, micro_f1
from training.data.augment.paraphrase import paraphrase
from training.data.augment.synonyms import substitute

Change = Callable[[str, np.random.Generator], str | None]


def mistyped(text: str, random: np.random.Generator, share: float) -> str:
    """Some letters swapped with the next, left out, doubled or replaced, each in a `share` of the letters."""
    found: list[str] = []
    signs = list(text)
    place = 0
    while place < len(signs):
        sign = signs[place]
        if sign.isalpha() and random.random() < share:
            kind = random.integers(4)
            if kind == 0 and place + 1 < len(signs):
                found += [signs[place + 1], sign]
                place += 1
            elif kind == 2:
                found += [sign, sign]
            elif kind == 3:
                found.append(string.ascii_lowercase[random.integers(26)])
        else:
            found.append(sign)
        place += 1
    return "".join(found) or text


CHANGES: Mapping[str, Change] = {
    "2 % of the letters mistyped": lambda text, random: mistyped(text, random, 0.02),
    "5 % of the letters mistyped": lambda text, random: mistyped(text, random, 0.05),
    "10 % of the letters mistyped": lambda text, random: mistyped(text, random, 0.10),
    "lower case": lambda text, _: text.lower(),
    "capitals": lambda text, _: text.upper(),
    "without punctuation": lambda text, _: "".join(sign for sign in text if sign not in string.punctuation) or text,
    "phrases said another way": paraphrase,
    "words replaced by synonyms": lambda text, random: substitute(text, random, 0.3),
    "first half of the words": lambda text, _: " ".join(text.split()[: max(1, len(text.split()) // 2)]),
    "second half of the words": lambda text, _: " ".join(text.split()[len(text.split()) // 2 :]),
}


def measure_robustness(
    answer: Callable[[Sequence[str]], tuple[NDArray[np.float64], NDArray[np.bool_]]],
    texts: Sequence[str], truth: NDArray[np.bool_], known: NDArray[np.bool_], *, seed: int = 0,
) -> list[dict[str, Any]]:  # fmt: skip
    """Change -> rows that it can change, F1 on them before and after, and the share of decisions that flip.

    Args:
        answer: probabilities and decisions, shape (N, L) each, of N texts.
        texts: N texts; the turns before them stay as they are.
        truth: shape (N, L).
        known: shape (N, L).
        seed: of the changes.
    """
    _, before = answer(texts)
    found = []
    for name, change in CHANGES.items():
        random = np.random.default_rng(seed)
        changed = {
            place: with_context(new, context_of(text))
            for place, text in enumerate(texts)
            if (new := change(text, random)) is not None and new.strip() and new != text
        }
        if not changed:
            continue
        rows = list(changed)
        _, after = answer(list(changed.values()))
        y, k, old = truth[rows], known[rows], before[rows]
        found.append({
            "change": name, "rows": len(rows),
            "micro_f1_before": micro_f1(y, old, k), "micro_f1_after": micro_f1(y, after, k),
            "macro_f1_before": macro_f1(y, old, k), "macro_f1_after": macro_f1(y, after, k),
            "rows_with_a_flip": float((old != after).any(axis=1).mean()),
        })  # fmt: skip
    return found
