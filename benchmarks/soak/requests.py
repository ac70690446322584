"""What callers ask: real texts, and for a known share requests whose right answer is an error."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from benchmarks.attacks.attack import as_json, post
from benchmarks.soak.tally import Request

WRONG = (
    Request(post(b"{"), 400),
    Request(post(as_json({"texts": []})), 422),
    Request(post(as_json({"text": ""})), 422),
)


def good_requests(texts: Sequence[str], count: int, seed: int) -> list[Request]:
    """`count` requests of one to four texts."""
    random = Random(seed)
    return [Request(post(as_json({"texts": random.sample(texts, random.randint(1, 4))})), 200) for _ in range(count)]


def mixed_requests(texts: Sequence[str], count: int, seed: int) -> list[Request]:
    """The same, with every tenth one wrong."""
    good = good_requests(texts, count, seed)
    return [WRONG[place // 10 % len(WRONG)] if place % 10 == 0 else good[place] for place in range(count)]
