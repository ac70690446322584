"""Hostile requests by the hundred or by the thousand on a real server: every answer, its memory and its log are judged.

Fuzzed JSON, huge numbers, lone surrogates, NUL bytes, bodies and heads of 10 MB, deep nesting, and what schemathesis
makes of the OpenAPI document; clients are slow, close half of their connection, go away, or do not speak HTTP. A tenth
are control requests. A half-closed connection may count as closed: uvicorn, like most servers, then drops the request.
"""

from __future__ import annotations

import asyncio
import random
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any

import psutil
import pytest

from benchmarks.client import read_texts
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import serving
from tests.system import SEED, bodies, bundle_from, requests, wire
from tests.system.judge import BUSY, Expected, Judge, log_problems
from tests.system.sockets import ANSWER_TIMEOUT_S, Answer, Attack, Outcome, as_json, one_of, post, send

CLIENTS = 16
CONTROLS = 30
CONTROL_SHARE = 0.1
SCHEMA_SHARE = 0.05
MOST_SHOWN = 500
"""Characters of a request that stand in a finding."""
TOLERANCE = 1e-5
"""How far a probability may move when its text runs in a batch with others."""

MOST_GROWTH = 1.05
"""Memory at rest against that after a warm-up in which all clients sent each kind at the same time: the first large
requests grow the allocator's pools once, and pools are no leak."""

ENOUGH_TO_JUDGE_MEMORY = 5000
ROUTES = ("/predict", "/", "/classify")
RETRY_S, PATIENCE_S = 0.5, 60.0
"""Of a control request that is answered 429 or 504."""

SETTLE_S = 3.0
"""The server finishes what clients left behind before its memory is read."""

SHARES: tuple[tuple[Callable[[Random], Attack], float], ...] = (
    (bodies.fuzzed_json, 16), (bodies.huge_numbers, 8), (bodies.lone_surrogates, 8), (bodies.deep_nesting, 6),
    (bodies.wrong_fields, 8), (bodies.unusable_text, 5), (bodies.bad_among_good, 4), (bodies.strange_text, 5),
    (bodies.raw_control_bytes, 3), (bodies.other_encodings, 5), (bodies.far_too_large, 2),
    (bodies.as_large_as_allowed, 0.2), (wire.hostile_paths, 5), (wire.wrong_methods, 3), (wire.hostile_deadlines, 3),
    (wire.tiny_deadlines, 2), (wire.hostile_ids, 3), (wire.odd_headers, 3), (wire.many_headers, 2),
    (wire.slow_body, 3), (wire.slow_but_in_time, 3), (wire.half_closed, 5), (wire.gone, 6),
    (wire.gone_in_a_large_body, 1), (wire.not_http, 6), (wire.broken_chunks, 2), (wire.endless_chunks, 0.5),
    (wire.announced_too_large, 1), (wire.pipelined, 3), (wire.garbage_after_a_request, 1), (wire.endless_head, 1),
    (wire.websocket, 1),
)  # fmt: skip
"""Kinds and how often each comes; what costs a second of the model's time or moves ten megabytes comes seldom."""


@pytest.mark.slow
@pytest.mark.system
def test_the_service_stands_an_attack(tmp_path):
    count = requests(160)
    bundle = bundle_from("SYSTEM_BUNDLE") or stand_in_bundle(tmp_path / "bundle")
    controls = random.Random(SEED).sample(read_texts(None), CONTROLS)
    with serving(tmp_path / "server", bundle, access_log="true") as server:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        judge = Judge(expected_answers(address, controls), TOLERANCE)
        warmup = attacks(max(64, count // 10), SEED + 1, controls, first=CLIENTS if count > 1000 else 2)
        fire(address, warmup, Judge(judge.expected, TOLERANCE))
        time.sleep(SETTLE_S)
        before, alive, skipped = memory_mib(server.process.pid), processes(server.process.pid), len(server.log)
        texts = fuzz_schema(server.url, int(count * SCHEMA_SHARE), judge)
        fire(address, attacks(count - judge.sent, SEED + 2, controls, first=1), judge)
        expected_answers(address, controls)
        time.sleep(SETTLE_S)
        after, gone = memory_mib(server.process.pid), alive - processes(server.process.pid)
        log = server.log[skipped:]
    print(f"{judge.sent:,} attacks; farthest control answer {judge.farthest:.2g} off; {before:.0f} -> {after:.0f} MiB")
    assert judge.findings == []
    assert judge.sent >= count
    assert "500" not in "+".join(seen for counts in judge.statuses.values() for seen in counts).split("+")
    assert judge.statuses["control requests"]["200"] > count / 25
    assert judge.statuses["schemathesis, valid"]["200"] > 0
    assert not gone
    assert log_problems(log, texts) == []
    # so few requests as in `make test` cannot tell growth of the allocator's pools from a leak
    assert after <= before * (MOST_GROWTH if count >= ENOUGH_TO_JUDGE_MEMORY else 2)


def attacks(count: int, seed: int, controls: Sequence[str], first: int = 0) -> Iterator[Attack]:
    """`count` requests: every kind `first` times in a row, then by their shares, with control requests between."""
    draw = Random(seed)
    makers, shares = zip(*SHARES, strict=True)
    yield from islice((maker(draw) for maker in makers for _ in range(first)), count)
    for _ in range(count - first * len(makers)):
        if draw.random() < CONTROL_SHARE:
            yield control(draw.choice(controls))
        else:
            yield draw.choices(makers, shares)[0](draw)


def control(text: str) -> Attack:
    """A good request, whose answer must be what it was before the attack."""
    body = as_json({"text": text, "probabilities": True})
    return Attack("control requests", (post(body),), one_of(200), results=1, control=text)


def fire(address: tuple[str, int], stream: Iterator[Attack], judge: Judge) -> None:
    async def client() -> None:
        for attack in stream:  # all clients draw from the one stream
            judge.judge(attack, await patiently(attack, *address))

    async def crowd() -> None:
        await asyncio.gather(*(client() for _ in range(CLIENTS)))

    asyncio.run(crowd())


async def patiently(attack: Attack, host: str, port: int) -> Outcome:
    """What comes of an attack; a control request that is told to come back does so, as good clients do.

    While a request as large as allowed is computed, which may take all of its deadline, everybody is told to.
    """
    outcome, end = await send(attack, host, port), time.monotonic() + PATIENCE_S
    while attack.control and time.monotonic() < end and {answer.status for answer in outcome.answers} & BUSY:
        await asyncio.sleep(RETRY_S)
        outcome = await send(attack, host, port)
    return outcome


def expected_answers(address: tuple[str, int], texts: Sequence[str]) -> Expected:
    """The probabilities of each text, asked alone, one after the other."""

    async def ask(text: str) -> dict[str, float]:
        outcome = await send(control(text), *address)
        assert [answer.status for answer in outcome.answers] == [200], outcome
        return outcome.answers[0].json()["results"][0]["probabilities"]

    return {text: asyncio.run(ask(text)) for text in texts}


def processes(pid: int) -> set[psutil.Process]:
    """A server and its descendants; one that ended and was replaced is another process."""
    root = psutil.Process(pid)
    return {root, *root.children(recursive=True)}


def memory_mib(pid: int) -> float:
    return sum(process.memory_info().rss for process in processes(pid)) / 2**20


def fuzz_schema(url: str, count: int, judge: Judge) -> set[str]:
    """About `count` requests that schemathesis invents for every way to predict, half of them valid; their strings.

    Each answer goes to `judge` too: the error schema is more than the document promises.
    """
    import hypothesis
    import requests as http
    import schemathesis
    from schemathesis.core.failures import Failure, FailureGroup
    from schemathesis.specs.openapi import checks

    conformance = [
        schemathesis.checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
        checks.response_schema_conformance, checks.response_headers_conformance, checks.negative_data_rejection,
    ]  # fmt: skip
    texts: set[str] = set()

    def one(case: Any, kind: str, allowed: tuple[frozenset[int], ...]) -> None:
        texts.update(strings(case.body))
        attack = Attack(kind, (), allowed)
        try:
            response = case.call(base_url=url, timeout=ANSWER_TIMEOUT_S)
        except http.RequestException as error:
            judge.judge(attack, Outcome((), type(error).__name__))
            return
        headers = {name.lower(): values[0] for name, values in response.headers.items()}
        judge.judge(attack, Outcome((Answer(response.status_code, headers, response.content),)))
        try:
            case.validate_response(response, checks=conformance)
        except (Failure, FailureGroup) as error:
            sent = f"{case.path} {case.query} {case.headers} {case.body!r}"[:MOST_SHOWN]
            problems = getattr(error, "exceptions", [error])
            judge.findings += [f"{kind}: {problem.title} ({response.status_code}): {sent}" for problem in problems]

    def draw(operation: object, kind: str, mode: object, allowed: tuple[frozenset[int], ...]) -> None:
        @hypothesis.seed(SEED)
        @hypothesis.settings(
            max_examples=max(1, count // (2 * len(ROUTES))), database=None, deadline=None,
            phases=[hypothesis.Phase.generate], suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def every(case: object) -> None:
            one(case, kind, allowed)

        every()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about rates of rejected examples
        document = schemathesis.openapi.from_url(f"{url}/docs.json")
        for route in ROUTES:
            operation = document[route]["POST"]
            draw(operation, "schemathesis, valid", schemathesis.GenerationMode.POSITIVE, one_of(200, 422))
            draw(operation, "schemathesis, invalid", schemathesis.GenerationMode.NEGATIVE, one_of(200, 400, 422))
    return texts


def strings(value: object) -> Iterator[str]:
    """All strings within a body; not the names of fields, which errors may repeat."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from strings(member)
