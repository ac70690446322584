"""Requests that are HTTP but whose JSON, or what should be JSON, is hostile; each kind is one pure function."""

from __future__ import annotations

import gzip
import json
from random import Random
from typing import Any

from tests.system.sockets import MARKER, Attack, as_json, one_of, post

BIG = 10_000_000
"""Bytes of a body that is far too large."""

UNUSABLE: tuple[Any, ...] = (
    "", " \t\n", 7, None, True, [], {"text": MARKER}, f"{MARKER} \ud800", [MARKER], 1e300,
    MARKER * 2000,
)  # fmt: skip
"""Texts that get an error of their own; the last is longer than the 20,000 characters allowed."""

STRANGE = (
    f"{MARKER}\x00\x00\x01\x1b[31m\x7f",
    f"{MARKER}\r\n2026-01-01 ERROR forged line\r\n",
    f"<script>{MARKER}</script>'; DROP TABLE texts; -- ${{jndi:ldap://x}} %s %n {{{{7*7}}}}",
    f"{MARKER} \u202e\u2066\u200b\ufeff\ufffe\ufdd0",
    f"{MARKER} " + "e" + "\u0301" * 3000,
    f"{MARKER} " + "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 500,
    f"{MARKER} " + "\U000e0001\U0010ffff" * 500,
    f"{MARKER} " + "\u00df\ufb03\u0130\ufdfa" * 1000,
    "a" * 15_000 + MARKER,
)


def huge_numbers(random: Random) -> Attack:
    """Numbers that overflow, are not finite, or have thousands of digits."""
    field, value, status = random.choice([
        ("top_k", "1" + "0" * 400, 422), ("top_k", "-" + "9" * 30, 422), ("top_k", "1e999", 422),
        ("top_k", "9" * 5000, 400), ("top_k", "NaN", 400), ("top_k", "-Infinity", 400),
        ("top_k", "1e308", 422), ("top_k", "0.5e-400", 422), ("top_k", "1" + "." + "0" * 5000 + "1e9", 422),
        ("thresholds", '{"joy": 1e999}', 422), ("thresholds", '{"joy": -1e-5}', 422),
        ("thresholds", '{"joy": ' + "9" * 4299 + "}", 422), ("thresholds", '{"joy": Infinity}', 400),
    ])  # fmt: skip
    body = f'{{"text": "{MARKER}", "{field}": {value}}}'.encode()
    return Attack("huge numbers", (post(body),), one_of(status))


def lone_surrogates(random: Random) -> Attack:
    """Half a surrogate pair wherever a string can stand, escaped or as raw bytes."""
    half = random.choice(["\ud800", "\udfff", "\udc00\ud800"])
    body, status = random.choice([
        (as_json({"text": MARKER + half}), 422),
        (as_json({"text": MARKER, "policy": half}), 422),
        (as_json({"text": MARKER, half: 1}), 422),
        (as_json({"text": MARKER, "thresholds": {half: 0.5}}), 422),
        (json.dumps({"text": MARKER + half}, ensure_ascii=False).encode("utf-8", "surrogatepass"), 400),
    ])  # fmt: skip
    return Attack("lone surrogates", (post(body),), one_of(status))


def bad_among_good(random: Random) -> Attack:
    """Texts of which some cannot be used: these have errors of their own, and nobody else has."""
    count = random.randrange(2, 100)
    places = tuple(sorted(random.sample(range(count), random.randrange(1, min(count, 6)))))
    texts: list[Any] = [f"{MARKER} number {place} is fine" for place in range(count)]
    for place in places:
        texts[place] = random.choice(UNUSABLE)
    body = as_json({"texts": texts, "probabilities": random.random() < 0.2})
    return Attack("bad texts among good ones", (post(body),), one_of(200), errors_at=places, results=count)


def unusable_text(random: Random) -> Attack:
    """A single text that cannot be used."""
    return Attack("an unusable text", (post(as_json({"text": random.choice(UNUSABLE)})),), one_of(422))


def strange_text(random: Random) -> Attack:
    """NUL bytes, escape sequences, forged log lines, piles of accents: strange, and yet texts."""
    body = as_json({"text": random.choice(STRANGE)})
    return Attack("NUL bytes and strange texts", (post(body),), one_of(200), results=1)


def raw_control_bytes(random: Random) -> Attack:
    """Bytes below 32 within a string, which JSON forbids."""
    byte = bytes([random.randrange(32)])
    return Attack("raw control bytes", (post(b'{"text": "' + MARKER.encode() + byte + b'"}'),), one_of(400))


def deep_nesting(random: Random) -> Attack:
    """Arrays and objects in each other, from ten deep to a hundred thousand."""
    depth = int(10 ** random.uniform(1, 5))
    inside = f'"{MARKER}"'
    body, allowed = random.choice([
        (f'{{"text": {"[" * depth}{inside}{"]" * depth}}}', {400, 422}),
        (f'{{"thresholds": {"{" + chr(34) + "joy" + chr(34) + ":"}{"[" * depth}{"]" * depth}}}}}', {400, 422}),
        ('{"text":' * depth + inside + "}" * depth, {400, 422}),
        ("[" * depth, {400}),
    ])  # fmt: skip
    return Attack("deep nesting", (post(body.encode()),), one_of(*allowed))


def wrong_fields(random: Random) -> Attack:
    """Fields that are missing, unknown, of a wrong type, or at odds with each other."""
    wrong: list[Any] = [
        {}, {"texts": []}, {"texts": MARKER}, {"texts": None}, {"text": MARKER, "texts": [MARKER]},
        {"text": MARKER, MARKER: MARKER}, {"text": MARKER, "policy": MARKER}, {"text": MARKER, "taxonomy": [MARKER]},
        {"text": MARKER, "top_k": 0}, {"text": MARKER, "top_k": "3"}, {"text": MARKER, "probabilities": 1},
        {"text": MARKER, "thresholds": {MARKER: 0.5}}, {"text": MARKER, "thresholds": {"joy": "0.5"}},
        {"text": MARKER, "thresholds": [0.5]}, {"texts": [MARKER] * 257}, [MARKER], MARKER, 7, None,
    ]  # fmt: skip
    return Attack("wrong fields", (post(as_json(random.choice(wrong))),), one_of(422))


def fuzzed_json(random: Random) -> Attack:
    """A good body with a few bytes flipped, dropped, doubled or put in."""
    body = bytearray(as_json({"texts": [MARKER, f"{MARKER} é"], "policy": "half", "top_k": 3}))
    for _ in range(random.randrange(1, 6)):
        place = random.randrange(len(body))
        change = random.randrange(4)
        if change == 0:
            body[place] = random.randrange(256)
        elif change == 1:
            del body[place : place + random.randrange(1, 5)]
        elif change == 2:
            body[place:place] = body[place : place + random.randrange(1, 20)]
        else:
            body[place:place] = random.choice([b"\x00", b"\xff\xfe", b"{", b"]", b'"', b"\\", b"\\u", b"1e9", b","])
    return Attack("fuzzed JSON", (post(bytes(body)),), one_of(200, 400, 422))


def other_encodings(random: Random) -> Attack:
    """Bodies that are not UTF-8 JSON: other encodings, a byte order mark, compressed, nothing at all."""
    good = json.dumps({"text": f"{MARKER} é"}, ensure_ascii=False)
    packed = gzip.compress(good.encode(), mtime=0)
    body = random.choice([
        good.encode("utf-16"), good.encode("utf-32-be"), good.encode("latin-1"), b"\xef\xbb\xbf" + good.encode(),
        packed, b"", b"text=" + MARKER.encode(), good.replace('"', "'").encode(),
        good.encode()[:-1], good.encode() * 2, random.randbytes(200),
    ])  # fmt: skip
    return Attack(
        "other encodings", (post(body, {"Content-Encoding": "gzip"}),), one_of(200 if body == packed else 400)
    )


def far_too_large(random: Random) -> Attack:
    """Ten million bytes: a text, blanks, digits, small arrays, or nothing that makes sense."""
    unit = random.choice([MARKER.encode(), b" ", b"9", b"[],", b"\x00", b'"x",'])
    body = b'{"texts": ["' + unit * (BIG // len(unit)) + b'"]}'
    return Attack("10 MB bodies", (post(body),), one_of(413))


def as_large_as_allowed(random: Random) -> Attack:
    """The most texts one request may have, half the time long ones."""
    words = random.choice([8, 400])
    texts = [f"{place} " + f"{MARKER} " * words for place in range(256)]
    # such a request costs the model a second or more: its deadline, or a full queue, may be an answer too
    return Attack("as large as allowed", (post(as_json({"texts": texts})),), one_of(200, 429, 504), results=256)
