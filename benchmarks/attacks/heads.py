"""Requests whose paths, methods and headers are hostile, while their bodies are not."""

from __future__ import annotations

from random import Random
from urllib.parse import quote

from benchmarks.attacks.attack import CANARY, Attack, as_json, one_of, post

GOOD = as_json({"text": f"{CANARY} is fine"})


def hostile_paths(random: Random) -> Attack:
    """Paths and methods that do not exist, with a text in them."""
    path = random.choice([
        f"/{CANARY}", f"/predict/{CANARY}", "/predict/../../etc/passwd", f"/page/{CANARY}", "/page/%2e%2e%2fpage.py",
        f"/{quote(CANARY + chr(0) + chr(233))}", "/" + "%00" * 50, f"/{CANARY}?text={CANARY}", "/" + CANARY * 500,
        f"//{CANARY}//", f"/static_content/{CANARY}", "/static_content/..%2f..%2fservice.py", "/PREDICT",
    ])  # fmt: skip
    method = random.choice(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
    request = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
    return Attack("hostile paths", (request.encode(),), one_of(404, 405))


def wrong_methods(random: Random) -> Attack:
    """Paths that exist, with methods that they do not take."""
    method, path = random.choice([
        ("GET", "/predict"), ("DELETE", "/predict"), ("POST", "/model"), ("PUT", "/metrics"), ("TRACE", "/predict"),
        ("PROPFIND", "/docs.json"), ("OPTIONS", "/predict"),
    ])  # fmt: skip
    request = f"{method} {path}?{CANARY} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
    return Attack("wrong methods", (request.encode(),), one_of(405))


def hostile_deadlines(random: Random) -> Attack:
    """Deadlines that are no number of milliseconds."""
    value = random.choice(["-1", "0", "1e3", "NaN", "٣", "9" * 400, "", "5,5", f"{CANARY}", "0x10", "1 ms", "²"])
    return Attack("hostile deadlines", (post(GOOD, {"X-Request-Timeout-Ms": value}),), one_of(422))


def tiny_deadlines(random: Random) -> Attack:
    """A millisecond is too short for most answers, and a fair request all the same."""
    headers = {"X-Request-Timeout-Ms": str(random.randrange(1, 4))}
    return Attack("tiny deadlines", (post(GOOD, headers),), one_of(200, 429, 504), results=1)


def hostile_ids(random: Random) -> Attack:
    """Request ids that carry a text, which must be neither logged nor sent back."""
    value = random.choice([f"{CANARY} with blanks", f"{CANARY}\t{{}}", f"{CANARY}é", CANARY * 10, f'"{CANARY}"'])
    return Attack("hostile request ids", (post(GOOD, {"X-Request-Id": value}),), one_of(200), results=1)


def odd_headers(random: Random) -> Attack:
    """Headers that a service which trusted them would stumble over."""
    headers: dict[str, str] = random.choice([
        {"Content-Type": f"text/xml; charset={CANARY}"}, {"Content-Type": "application/json; charset=utf-7"},
        {"Accept": CANARY}, {"Accept-Encoding": "br;q=nan"}, {"Authorization": f"Bearer {CANARY}"},
        {"Cookie": f"{CANARY}=" + "x" * 4000}, {"X-Forwarded-For": f"{CANARY}, ::::"}, {"Host": CANARY},
        {"traceparent": f"00-{CANARY}-zz-01"}, {"Range": "bytes=0-99999999999999999999"},
    ])  # fmt: skip
    return Attack("odd headers", (post(GOOD, headers),), one_of(200), results=1)


def many_headers(random: Random) -> Attack:
    """Thousands of headers, or a header of many kilobytes: taken or refused, but answered."""
    number = random.choice([200, 1000, 4000])
    long = {f"X-{CANARY}-{place}": CANARY for place in range(number)}
    headers = random.choice([long, {f"X-{CANARY}": "x" * random.choice([10_000, 60_000, 500_000])}])
    return Attack("many and long headers", (post(GOOD, headers),), one_of(200, 431), results=1)
