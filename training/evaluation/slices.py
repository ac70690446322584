"""Metrics of parts of the rows: by length, coverage, punctuation, emoji, negation, labels, source, and language.

Shapes: N rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from shared.tokenizer import TextTokenizer
from training.evaluation.measures import Bools, Floats, Predictions
from training.evaluation.resampling import LEVEL

EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]")
NEGATION = re.compile(r"\b(?:not|no|never|nothing|nobody|none|neither|nor|cannot|without)\b|n['’]t\b", re.IGNORECASE)
TEXTS_AT_ONCE = 8192
FEWEST = 20
"""Rows below which a slice says nothing."""


@dataclass(frozen=True)
class TokenCounts:
    """What the tokenizer made of N texts.

    Attributes:
        lengths: tokens before truncation, shape (N,).
        truncated: whether the middle was left out, shape (N,).
        unknown: tokens that stand for what the vocabulary lacks, shape (N,).
    """

    lengths: Floats
    truncated: Bools
    unknown: Floats

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: TextTokenizer) -> TokenCounts:
        """Counts of the texts."""
        found = np.zeros((3, len(texts)))
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            for place, row in enumerate(tokenizer.encode(texts[start : start + TEXTS_AT_ONCE]), start):
                found[:, place] = row.num_tokens, row.truncated, row.num_unknown
        return cls(found[0], found[1].astype(np.bool_), found[2])


def slices(
    rows: Predictions, texts: Sequence[str], source: Sequence[str], tokens: TokenCounts, *,
    languages: Sequence[str] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows of the table of slices: what is sliced by, which part, its size, micro F1 with interval, Brier, exact rows.

    Args:
        rows: predictions for N rows.
        texts: N texts.
        source: kind of source of each.
        tokens: of the texts.
        languages: code of each, "" where it is not known.
    """
    found = []
    named = {"source": source, "language": [code or "unknown" for code in languages or ()]}
    for by, part, inside in _parts(rows, texts, named, tokens):
        if FEWEST <= inside.sum() < len(rows):
            found.append({"by": by, "part": part, **_measured(rows, inside)})
    return found


def _parts(
    rows: Predictions, texts: Sequence[str], named: Mapping[str, Sequence[str]], tokens: TokenCounts
) -> Iterator[tuple[str, str, Bools]]:
    lengths = tokens.lengths
    edges = np.unique(np.quantile(lengths, [0.25, 0.5, 0.75]))
    quarter = np.searchsorted(edges, lengths, side="left")
    for place in range(len(edges) + 1):
        low = f"{edges[place - 1]:.0f} < " if place else ""
        high = f" <= {edges[place]:.0f}" if place < len(edges) else ""
        yield "length", f"{low}tokens{high}", quarter == place
    yield "truncation", "middle left out", tokens.truncated
    yield "truncation", "read whole", ~tokens.truncated
    yield "coverage", "every token known", tokens.unknown == 0
    yield "coverage", "some tokens unknown", tokens.unknown > 0
    signs = {
        "ends with !": lambda text: text.rstrip().endswith("!"),
        "ends with ?": lambda text: text.rstrip().endswith("?"),
        "ends with . or …": lambda text: text.rstrip().endswith((".", "…")),
        "ends with none of them": lambda text: not text.rstrip().endswith(("!", "?", ".", "…")),
    }
    for part, holds in signs.items():
        yield "punctuation", part, _where(texts, holds)
    for by, pattern in (("emoji", EMOJI), ("negation", NEGATION)):
        inside = _where(texts, lambda text, pattern=pattern: pattern.search(text) is not None)
        yield by, f"with {by}", inside
        yield by, f"without {by}", ~inside
    yield "capitals", "most letters are capitals", _where(texts, _shouted)
    count = (rows.truth & rows.known).sum(axis=1)
    for number in range(4):
        yield "labels", f"{number} true labels" if number != 1 else "1 true label", count == number
    yield "labels", "4 or more true labels", count >= 4
    for by, values in named.items():
        names = np.asarray(values, dtype=object)
        for name in dict.fromkeys(values):
            yield by, name, np.asarray(names == name, dtype=np.bool_)


def _where(texts: Sequence[str], holds: Any) -> Bools:
    return np.fromiter((holds(text) for text in texts), dtype=np.bool_, count=len(texts))


def _shouted(text: str) -> bool:
    letters = [sign for sign in text if sign.isalpha()]
    return len(letters) >= 4 and sum(sign.isupper() for sign in letters) > 0.7 * len(letters)


def _measured(rows: Predictions, inside: Bools) -> dict[str, Any]:
    y, d, known = (array[inside] for array in (rows.truth & rows.known, rows.decisions & rows.known, rows.known))
    squared = (rows.probabilities[inside] - y)[known] ** 2
    micro, interval = micro_f1_interval((y & d).sum(axis=1), y.sum(axis=1) + d.sum(axis=1))
    return {
        "rows": int(inside.sum()), "micro_f1": micro, "interval": interval,
        "brier": float(squared.mean()) if squared.size else None, "exact": float((y == d).all(axis=1).mean()),
    }  # fmt: skip


def micro_f1_interval(hit: Any, total: Any) -> tuple[float | None, list[float] | None]:
    """Micro F1 = 2 sum(hit) / sum(total) with the interval of a ratio of sums by linearisation (Cochran 1977, 2.11).

    Args:
        hit: true positives of every row, shape (N,).
        total: true and decided labels of every row, shape (N,).
    """
    hits, totals = np.asarray(hit, dtype=np.float64), np.asarray(total, dtype=np.float64)
    if not totals.sum():
        return None, None
    ratio = 2 * hits.sum() / totals.sum()
    error = np.sqrt(((2 * hits - ratio * totals) ** 2).sum()) / totals.sum()
    half = float(norm.ppf((1 + LEVEL) / 2)) * error
    return float(ratio), [max(0.0, float(ratio - half)), min(1.0, float(ratio + half))]
