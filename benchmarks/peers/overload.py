"""Several times more than the service can do, and how soon it is itself again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice
from typing import Any

from benchmarks.peers.launch import Running
from benchmarks.peers.usage import usage_of
from benchmarks.traffic.arrivals import poisson_arrivals
from benchmarks.traffic.client import Client, Target
from benchmarks.traffic.digest import digest
from benchmarks.traffic.loops import open_loop
from benchmarks.traffic.records import OK
from benchmarks.traffic.texts import request_bodies

TIMES_SATURATION = 5.0
NORMAL = 3.0
"""Latency counts as normal again below so many times that of a lone client."""

WATCH_S = 30.0
CONNECTIONS = 2048
"""Kept by the client, as a proxy before the service would: a new one for each request is another kind of flood."""


async def overload(
    server: Running,
    texts: Sequence[str],
    *,
    saturation: float,
    seconds: float,
    deadline_ms: float,
    normal_ms: float,
) -> dict[str, Any]:
    """The digest of the flood, with memory before and after it in MiB, and `recovery_s`.

    Args:
        server: ours.
        texts: to send.
        saturation: requests a second it can do.
        seconds: of flood.
        deadline_ms: sent with each request.
        normal_ms: median latency of a lone client.
    """
    rate = TIMES_SATURATION * saturation
    target = Target(
        server.url, headers={"x-request-timeout-ms": f"{deadline_ms:.0f}"}, timeout_s=30, connections=CONNECTIONS
    )
    bodies = request_bodies(texts, 1)
    before = usage_of(server.pid)
    async with Client(target) as client:
        records = await open_loop(client, poisson_arrivals(rate, seconds), bodies)
        recovery_s = await _recovery(client, list(islice(bodies, 50)), NORMAL * normal_ms / 1e3)
    after = usage_of(server.pid)
    return {
        "rate_per_s": rate,
        "times_saturation": TIMES_SATURATION,
        "deadline_ms": deadline_ms,
        "memory_before": round(before.memory_mib, 1),
        "memory_after": round(after.memory_mib, 1),
        "recovery_s": recovery_s,
        **digest(records),
    }


async def _recovery(client: Client, bodies: Sequence[bytes], normal_s: float) -> float:
    """Seconds until ten lone requests in a row are answered well in normal time; `WATCH_S` when they never are."""
    start, since, in_row = time.perf_counter(), 0.0, 0
    number = 0
    while time.perf_counter() - start < WATCH_S:
        sent = time.perf_counter()
        good = await client.send(bodies[number % len(bodies)]) == OK and time.perf_counter() - sent <= normal_s
        number += 1
        if not good:
            in_row = 0
            continue
        since = sent - start if in_row == 0 else since
        in_row += 1
        if in_row == 10:
            return round(since, 3)
    return WATCH_S
