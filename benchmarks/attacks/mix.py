"""The mix of a run: every kind of attack with its share, drawn from one seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from random import Random

from benchmarks.attacks import bodies, heads, wire
from benchmarks.attacks.attack import Attack, as_json, one_of, post

Maker = Callable[[Random], Attack]

INNOCENT = "innocent requests"
INNOCENT_SHARE = 0.1

SHARES: tuple[tuple[Maker, float], ...] = (
    (bodies.fuzzed_json, 16),
    (bodies.huge_numbers, 8),
    (bodies.lone_surrogates, 8),
    (bodies.deep_nesting, 6),
    (bodies.wrong_fields, 8),
    (bodies.unusable_text, 5),
    (bodies.bad_among_good, 4),
    (bodies.strange_text, 5),
    (bodies.raw_control_bytes, 3),
    (bodies.other_encodings, 5),
    (bodies.far_too_large, 2),
    (bodies.as_large_as_allowed, 0.2),
    (heads.hostile_paths, 5),
    (heads.wrong_methods, 3),
    (heads.hostile_deadlines, 3),
    (heads.tiny_deadlines, 2),
    (heads.hostile_ids, 3),
    (heads.odd_headers, 3),
    (heads.many_headers, 2),
    (wire.slow_body, 3),
    (wire.slow_but_in_time, 3),
    (wire.half_closed, 5),
    (wire.gone, 6),
    (wire.gone_in_a_large_body, 1),
    (wire.not_http, 6),
    (wire.broken_chunks, 2),
    (wire.endless_chunks, 0.5),
    (wire.announced_too_large, 1),
    (wire.pipelined, 3),
    (wire.garbage_after_a_request, 1),
    (wire.endless_head, 1),
    (wire.websocket, 1),
)
"""Kinds and how often each comes; what costs a second of the model's time or moves ten megabytes comes seldom."""


def attacks(count: int, seed: int, innocents: Sequence[str], first: int = 0) -> Iterator[Attack]:
    """`count` requests: every kind `first` times in a row, then by their shares, with good ones of `innocents`."""
    random = Random(seed)
    makers, shares = zip(*SHARES, strict=True)
    yield from islice((maker(random) for maker in makers for _ in range(first)), count)
    for _ in range(count - first * len(makers)):
        if random.random() < INNOCENT_SHARE:
            yield innocent(random.choice(innocents))
        else:
            yield random.choices(makers, shares)[0](random)


def innocent(text: str) -> Attack:
    """A good request, whose answer must be what it was before the attack."""
    body = as_json({"text": text, "probabilities": True})
    return Attack(INNOCENT, (post(body),), one_of(200), results=1, innocent=text)
