"""Hostile paths, methods and headers; and clients that are slow, broken, half-closed, gone, or no HTTP at all."""

from __future__ import annotations

from random import Random
from urllib.parse import quote

from tests.system.bodies import BIG
from tests.system.sockets import MARKER, Attack, Ending, as_json, one_of, post

_HEAD = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
GOOD = as_json({"text": f"{MARKER} is fine"})


def hostile_paths(random: Random) -> Attack:
    """Paths and methods that do not exist, with a text in them."""
    path = random.choice([
        f"/{MARKER}", f"/predict/{MARKER}", "/predict/../../etc/passwd", f"/page/{MARKER}", "/page/%2e%2e%2fpage.py",
        f"/{quote(MARKER + chr(0) + chr(233))}", "/" + "%00" * 50, f"/{MARKER}?text={MARKER}", "/" + MARKER * 500,
        f"//{MARKER}//", f"/static_content/{MARKER}", "/static_content/..%2f..%2fservice.py", "/PREDICT",
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
    request = f"{method} {path}?{MARKER} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
    return Attack("wrong methods", (request.encode(),), one_of(405))


def hostile_deadlines(random: Random) -> Attack:
    """Deadlines that are no number of milliseconds."""
    value = random.choice(["-1", "0", "1e3", "NaN", "٣", "9" * 400, "", "5,5", f"{MARKER}", "0x10", "1 ms", "²"])
    return Attack("hostile deadlines", (post(GOOD, {"X-Request-Timeout-Ms": value}),), one_of(422))


def tiny_deadlines(random: Random) -> Attack:
    """A millisecond is too short for most answers, and a fair request all the same."""
    headers = {"X-Request-Timeout-Ms": str(random.randrange(1, 4))}
    return Attack("tiny deadlines", (post(GOOD, headers),), one_of(200, 429, 504), results=1)


def hostile_ids(random: Random) -> Attack:
    """Request ids that carry a text, which must be neither logged nor sent back."""
    value = random.choice([f"{MARKER} with blanks", f"{MARKER}\t{{}}", f"{MARKER}é", MARKER * 10, f'"{MARKER}"'])
    return Attack("hostile request ids", (post(GOOD, {"X-Request-Id": value}),), one_of(200), results=1)


def odd_headers(random: Random) -> Attack:
    """Headers that a service which trusted them would stumble over."""
    headers: dict[str, str] = random.choice([
        {"Content-Type": f"text/xml; charset={MARKER}"}, {"Content-Type": "application/json; charset=utf-7"},
        {"Accept": MARKER}, {"Accept-Encoding": "br;q=nan"}, {"Authorization": f"Bearer {MARKER}"},
        {"Cookie": f"{MARKER}=" + "x" * 4000}, {"X-Forwarded-For": f"{MARKER}, ::::"}, {"Host": MARKER},
        {"traceparent": f"00-{MARKER}-zz-01"}, {"Range": "bytes=0-99999999999999999999"},
    ])  # fmt: skip
    return Attack("odd headers", (post(GOOD, headers),), one_of(200), results=1)


def many_headers(random: Random) -> Attack:
    """Thousands of headers, or a header of many kilobytes: taken or refused, but answered."""
    number = random.choice([200, 1000, 4000])
    long = {f"X-{MARKER}-{place}": MARKER for place in range(number)}
    headers = random.choice([long, {f"X-{MARKER}": "x" * random.choice([10_000, 60_000, 500_000])}])
    return Attack("many and long headers", (post(GOOD, headers),), one_of(200, 431), results=1)


def slow_body(random: Random) -> Attack:
    """A body that trickles in beyond its deadline."""
    request = post(GOOD, {"X-Request-Timeout-Ms": "200"})
    pieces = (request[:-6], *(request[-6 + i : -5 + i or None] for i in range(4)))
    return Attack("slow bodies", pieces, one_of(504), pause_s=0.1 + 0.05 * random.random())


def slow_but_in_time(random: Random) -> Attack:
    """Head and body in small pieces, which is unusual and fair."""
    request = post(GOOD)
    cuts = sorted(random.sample(range(1, len(request)), 6))
    pieces = tuple(request[a:b] for a, b in zip([0, *cuts], [*cuts, len(request)], strict=True))
    return Attack("slow, but in time", pieces, one_of(200), pause_s=0.03, results=1)


def half_closed(random: Random) -> Attack:
    """A client that closes its half after the request, or in the middle of it."""
    request = post(GOOD)
    end = random.choice([len(request), random.randrange(1, len(request))])
    allowed = one_of(200, 400)
    return Attack("half-closed connections", (request[:end],), allowed, ending=Ending.HALF_CLOSE, optional=True)


def gone(random: Random) -> Attack:
    """A client that goes away: before its first byte, within its request, or before its answer."""
    request = post(as_json({"texts": [f"{MARKER} {i}" for i in range(random.choice([1, 64]))]}))
    end = random.choice([0, random.randrange(1, len(request)), len(request)])
    ending = random.choice([Ending.CLOSE, Ending.RESET])
    return Attack("clients that go away", (request[:end],), one_of(200), ending=ending, optional=True)


def gone_in_a_large_body(random: Random) -> Attack:
    """A client that promises ten million bytes and leaves after a part of them."""
    part = MARKER.encode() * random.randrange(1, BIG // 50)
    head = _HEAD + b"Content-Length: %d\r\n\r\n" % BIG
    return Attack("gone in a 10 MB body", (head, part), one_of(413), ending=Ending.RESET, optional=True)


def not_http(random: Random) -> Attack:
    """Other protocols, garbage, and requests that break HTTP's grammar."""
    canary = MARKER.encode()
    request = random.choice([
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + canary,
        canary + b" garbage\r\n\r\n", b"\x00" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00" + canary + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-" + canary + b"\x00: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: \x00" + canary + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + canary + b"\r\n\r\n",
        _HEAD + b"Content-Length: -1\r\n\r\n" + canary,
        _HEAD + b"Content-Length: " + canary + b"\r\n\r\n",
        _HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + canary,
        _HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + canary,
        b"\x80" + random.randbytes(50) + b"\r\n\r\n",
    ])  # fmt: skip
    return Attack("not HTTP", (request,), one_of(400))


def broken_chunks(random: Random) -> Attack:
    """A chunked body whose chunk sizes are lies or no numbers."""
    size = random.choice([b"zz", b"-5", b"f" * 30, MARKER.encode()])
    request = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\n" + MARKER.encode() + b"\r\n0\r\n\r\n"
    return Attack("broken chunks", (request,), one_of(400))


def endless_chunks(_random: Random) -> Attack:
    """A chunked body without end, of which no length tells beforehand."""
    data = MARKER.encode() * 10_000
    chunk = b"%x\r\n" % len(data) + data + b"\r\n"
    request = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    return Attack("chunked bodies of 10 MB", (request, *([chunk] * (BIG // len(data))), b"0\r\n\r\n"), one_of(413))


def announced_too_large(_random: Random) -> Attack:
    """A client that asks before it sends ten million bytes, and may keep them."""
    request = _HEAD + b"X-Text: " + MARKER.encode() + b"\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % BIG
    return Attack("announced 10 MB", (request,), one_of(413))


def pipelined(random: Random) -> Attack:
    """Several requests in one go: each has its answer, in order, whatever the one before was."""
    parts = {
        400: b"{" + MARKER.encode(), 422: as_json({"text": ""}), 200: GOOD,
        413: b'{"text": "' + b"x" * 5_000_000 + b'"}',
    }  # fmt: skip
    order = [random.choice([400, 422, 413, 200]), 200, random.choice([400, 422, 200])]
    allowed = tuple(frozenset({status}) for status in order)
    return Attack("pipelined requests", (b"".join(post(parts[status]) for status in order),), allowed)


def garbage_after_a_request(_random: Random) -> Attack:
    """A good request with garbage behind it: the request has its answer all the same."""
    return Attack("garbage after a request", (post(GOOD) + b"\x00" + MARKER.encode() + b"\r\n\r\n",), one_of(200))


def endless_head(random: Random) -> Attack:
    """A head of ten million bytes: one long header, many, a long path, or trailers behind a chunked body."""
    line = b"X-" + MARKER.encode() + b": " + b"x" * 1000 + b"\r\n"
    start, unit = random.choice([
        (_HEAD, line), (_HEAD + b"X: ", b"x" * 1000), (b"GET /" + MARKER.encode(), b"x" * 1000),
        (_HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", line), (b"", b"\r\n" * 500),
    ])  # fmt: skip
    chunks = (start, *([unit * 100] * (BIG // (100 * len(unit)))))
    return Attack("heads of 10 MB", chunks, one_of(400, 431))


def websocket(random: Random) -> Attack:
    """A WebSocket that nobody offers."""
    path = random.choice(["/predict", "/", f"/{MARKER}"])
    request = (
        f"GET {path}?{MARKER} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    return Attack("WebSocket requests", (request.encode(),), one_of(403), plain=True)
