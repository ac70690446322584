"""Requests that schemathesis invents from the service's own OpenAPI document, and its checks of the answers.

https://schemathesis.readthedocs.io
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.judge import Judge
from benchmarks.attacks.sender import PATIENCE_S, Answer, Outcome
from shared.errors import ConfigError

VALID, INVALID = "schemathesis, valid", "schemathesis, invalid"
_ANY = (frozenset({200, 400, 422}),)


@dataclass
class SchemaRun:
    """What schemathesis found, and the strings it sent."""

    sent: int = 0
    findings: list[str] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)


def fuzz_schema(url: str, count: int, seed: int, judge: Judge, stop: Callable[[], bool]) -> SchemaRun:
    """Send about `count` invented requests to `/predict`, half of them valid, until `stop` says so.

    Each answer goes to `judge` too: the one form of errors is more than the document promises.

    Raises:
        ConfigError: when schemathesis is not installed.
    """
    try:
        import schemathesis
    except ImportError:
        raise ConfigError("schemathesis is not installed.", hint="Install it: pip install -e '.[bench]'") from None
    schema = schemathesis.openapi.from_url(f"{url}/docs.json")
    run = SchemaRun()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about rates of rejected examples: none of the reader's business
        modes = ((VALID, schemathesis.GenerationMode.POSITIVE), (INVALID, schemathesis.GenerationMode.NEGATIVE))
        for kind, mode in modes:
            cases = schema["/predict"]["POST"].as_strategy(generation_mode=mode)
            _draw(cases, count // 2, seed, partial(_one, url=url, kind=kind, judge=judge, run=run), stop)
    return run


def _draw(cases: Any, count: int, seed: int, send: Callable[[Any], None], stop: Callable[[], bool]) -> None:
    """Have hypothesis draw `count` cases, of a strategy, and send each."""
    import hypothesis

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count, database=None, deadline=None, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(case=cases)
    def every(case: Any) -> None:
        if not stop():
            send(case)

    every()


def _one(case: Any, url: str, kind: str, judge: Judge, run: SchemaRun) -> None:
    import requests
    from schemathesis import checks
    from schemathesis.core.failures import Failure, FailureGroup

    run.sent += 1
    run.texts.update(_strings(case.body))
    attack = Attack(kind, (), (frozenset({200, 422}),) if kind == VALID else _ANY)
    try:
        response = case.call(base_url=url, timeout=PATIENCE_S)
    except requests.RequestException as error:
        judge.judge(attack, Outcome((), type(error).__name__))
        return
    headers = {name.lower(): values[0] for name, values in response.headers.items()}
    judge.judge(attack, Outcome((Answer(response.status_code, headers, response.content),)))
    try:
        case.validate_response(response, checks=[checks.not_a_server_error, *_conformance()])
    except (Failure, FailureGroup) as error:
        problems = getattr(error, "exceptions", [error])
        run.findings += [f"{kind}: {type(problem).__name__}: {problem.title}" for problem in problems]


def _conformance() -> list[Any]:
    from schemathesis.specs.openapi import checks

    return [
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.response_headers_conformance,
        checks.negative_data_rejection,
    ]


def _strings(value: Any) -> Iterator[str]:
    """All strings within a body; not the names of fields, which errors may repeat."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, dict):
        for member in value.values():
            yield from _strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from _strings(member)
