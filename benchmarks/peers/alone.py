"""One client alone: seconds a request on the same texts, with each server and with nothing but the predictor."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.launch import Running
from benchmarks.traffic.client import Client, Target
from benchmarks.traffic.records import OK
from shared.errors import NotReadyError

BLOCK = 25
"""Texts in a row for one contender: enough to be warm, few enough that all see the same state of the machine."""

PREDICTOR = "predictor"


async def alone_seconds(
    bundle: Path, servers: Sequence[Running], texts: Sequence[str], timeout_s: float
) -> dict[str, NDArray[np.float64]]:
    """Seconds of each server, and of the bare predictor on one thread, from each text to its answer, shape (K,) each.

    Raises:
        NotReadyError: when a server does not answer a text well.
    """
    from serving.predictor import Predictor

    predictor = Predictor.load(bundle, threads=1)
    taken: dict[str, list[float]] = {PREDICTOR: [], **{server.name: [] for server in servers}}
    async with AsyncExitStack() as stack:
        clients = {
            server.name: await stack.enter_async_context(Client(Target(server.url, timeout_s=timeout_s)))
            for server in servers
        }
        for start in range(0, len(texts), BLOCK):
            block = texts[start : start + BLOCK]
            taken[PREDICTOR] += _predictor_block(predictor, block)
            for name, client in clients.items():
                taken[name] += await _client_block(client, block)
    return {name: np.array(values) for name, values in taken.items()}


def _predictor_block(predictor: Any, texts: Sequence[str]) -> list[float]:
    taken = []
    for text in (texts[0], *texts):
        start = time.perf_counter()
        predictor.probabilities(predictor.logits([text]))
        taken.append(time.perf_counter() - start)
    return taken[1:]  # the first was to warm up


async def _client_block(client: Client, texts: Sequence[str]) -> list[float]:
    taken = []
    for text in (texts[0], *texts):
        body = json.dumps({"texts": [text]}).encode()
        start = time.perf_counter()
        outcome = await client.send(body)
        taken.append(time.perf_counter() - start)
        if outcome != OK:
            raise NotReadyError(f"a lone request to {client.target.url} ended with: {outcome}.")
    return taken[1:]
