from __future__ import annotations

import json

import pytest

from benchmarks.attacks.attack import CANARY, as_json, post
from benchmarks.attacks.mix import INNOCENT, SHARES, attacks


def test_a_seed_gives_the_same_attacks_and_another_gives_others():
    first, again, other = (list(attacks(300, seed, ["hello"])) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len(first) == 300


def test_every_kind_comes_first_if_wished_and_good_requests_stand_between_the_rest():
    kinds = {attack.kind for attack in attacks(100, 0, ["hello"], first=2)}
    assert len(kinds) == len(SHARES) + 1
    assert INNOCENT in kinds
    start = [attack.kind for attack in attacks(5, 0, ["hello"], first=3)]
    assert start == [start[0]] * 3 + [start[3]] * 2


@pytest.mark.parametrize("maker", [maker for maker, _ in SHARES], ids=lambda maker: maker.__name__)
def test_whatever_carries_a_text_carries_the_canary(maker):
    from random import Random

    for seed in range(30):
        attack = maker(Random(seed))
        assert attack.chunks
        assert attack.allowed
        assert all(statuses for statuses in attack.allowed)
    sent = b"".join(b"".join(maker(Random(seed)).chunks) for seed in range(60))
    assert CANARY.encode() in sent


def test_a_request_has_its_length_and_may_have_other_headers():
    request = post(b"hello", {"Content-Type": "text/xml", "X-New": "é"})
    head, _, body = request.partition(b"\r\n\r\n")
    assert body == b"hello"
    assert head.splitlines() == [
        b"POST /predict HTTP/1.1", b"Host: 127.0.0.1", b"Content-Type: text/xml", b"Content-Length: 5",
        "X-New: é".encode(),
    ]  # fmt: skip
    assert json.loads(as_json("\ud800")) == "\ud800"
