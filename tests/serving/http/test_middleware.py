"""Where the middleware sits and which way a request takes; what it does to requests is tested over HTTP."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from serving.api_keys import WrongKeyError
from serving.http.middleware import RequestMiddleware, client_address, install_outermost
from serving.settings import Settings
from serving.state import ServiceState


def app(name: str, calls: list[str]):
    async def call(scope, receive, send):
        if scope["type"] == "http":
            calls.append(f"{name} {scope['path']}")

    return call


def opened_state() -> ServiceState:
    state = ServiceState()
    state.settings = SimpleNamespace(access_log=False, allowed_origins=[])  # type: ignore[assignment]
    state.metrics = SimpleNamespace(finished=lambda *_: None, in_flight=SimpleNamespace(set=lambda _: None))  # type: ignore[assignment]
    state.engine = SimpleNamespace(draining=False)  # type: ignore[assignment]
    state.admission = SimpleNamespace(admit=lambda *_: None, in_flight=0)  # type: ignore[assignment]
    return state


def scope(path: str) -> dict:
    return {"type": "http", "path": path, "method": "POST", "headers": [], "query_string": b""}


@pytest.mark.parametrize(
    ("direct", "ways"),
    [(True, ["direct /predict", "framework /model"]), (False, ["framework /predict", "framework /model"])],
)
def test_predictions_go_past_the_framework_where_nobody_traces_them(direct, ways):
    calls: list[str] = []
    application = SimpleNamespace(middleware_stack=app("framework", calls))
    options = {"state": opened_state(), "direct": app("direct", calls) if direct else None}
    installer = install_outermost(app("rest", calls), **options)

    async def scenario() -> None:
        await installer({"type": "lifespan", "app": application}, None, None)
        for path in ("/predict", "/model"):
            await application.middleware_stack(scope(path), None, None)

    asyncio.run(scenario())
    assert calls == ways


def test_a_starlette_without_a_middleware_stack_is_logged_and_requests_are_still_checked(caplog):
    calls: list[str] = []
    installer = install_outermost(app("rest", calls), state=ServiceState())
    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    async def scenario() -> None:
        await installer({"type": "lifespan", "app": SimpleNamespace()}, None, None)
        await installer(scope("/predict"), None, send)

    asyncio.run(scenario())
    assert "Starlette's application has no middleware_stack" in caplog.text
    assert calls == []
    assert sent[0]["status"] == 503  # the service has not started
    assert b"the service is starting" in sent[1]["body"]


def test_wrong_keys_take_no_places_of_requests_with_a_right_one_and_few_of_them_wait(monkeypatch):
    monkeypatch.setattr("serving.http.middleware.MAX_WRONG_KEYS_HELD", 12)
    monkeypatch.setattr("serving.http.middleware.WRONG_KEY_DELAY_S", 0.2)
    state, counted = opened_state(), []
    state.metrics.wrong_keys = SimpleNamespace(inc=lambda: counted.append(1))  # type: ignore[assignment]

    def admit(_path: str, _method: str, headers) -> None:
        if "x-api-key" in headers:
            raise WrongKeyError("the API key is wrong.")

    state.admission.admit = admit  # type: ignore[method-assign]
    middleware = RequestMiddleware(app("framework", []), state)

    async def status(headers: list[tuple[bytes, bytes]]) -> int:
        sent: list[dict] = []

        async def send(message: dict) -> None:
            sent.append(message)

        await middleware({**scope("/predict"), "headers": headers}, None, send)
        return sent[0]["status"] if sent else 0

    async def scenario() -> list[int]:
        wrong = [asyncio.create_task(status([(b"x-api-key", b"wrong")])) for _ in range(30)]
        await asyncio.sleep(0)
        assert state.admission.in_flight == 0
        assert [task.done() for task in wrong] == [False] * 12 + [True] * 18
        answers = await asyncio.gather(*wrong)
        assert (state.admission.in_flight, middleware._wrong_keys_held) == (0, 0)
        return answers

    assert asyncio.run(scenario()) == [401] * 30
    assert len(counted) == 30


PROXIES = Settings(trusted_proxies="10.0.0.0/8, ::1").proxies


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),  # two proxies of ours
        ("10.0.0.1", "1.2.3.4, 203.0.113.9", "203.0.113.9"),  # the client itself wrote the first
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),  # nobody we trust: what it writes is not believed
        ("", "203.0.113.9", ""),
    ],
)
def test_the_address_of_a_client_is_believed_from_trusted_proxies_alone(peer, forwarded, expected):
    assert client_address(peer, forwarded, PROXIES) == expected
