"""Which way a request takes through the gate; what it does to requests is tested over HTTP."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from serving.engine.state import ServiceState
from serving.http.gate import GateInFront


def app(name: str, calls: list[str]):
    async def call(scope, receive, send):
        if scope["type"] == "http":
            calls.append(f"{name} {scope['path']}")

    return call


@pytest.mark.parametrize(
    ("direct", "ways"),
    [(True, ["direct /predict", "framework /model"]), (False, ["framework /predict", "framework /model"])],
)
def test_predictions_go_past_the_framework_where_nobody_traces_them(monkeypatch, direct, ways):
    calls: list[str] = []
    application = SimpleNamespace(middleware_stack=app("framework", calls))
    monkeypatch.setattr("serving.http.gate.Gate._admit", lambda *_: None)
    in_front = GateInFront(app("rest", calls), ServiceState(), app("direct", calls) if direct else None)

    async def scenario() -> None:
        await in_front({"type": "lifespan", "app": application}, None, None)
        for path in ("/predict", "/model"):
            scope = {"type": "http", "path": path, "method": "GET", "headers": [], "query_string": b""}
            await application.middleware_stack(scope, None, None)

    asyncio.run(scenario())
    assert calls == ways
