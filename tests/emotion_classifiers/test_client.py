"""The client against a server that answers what it is told, and against the real service."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import httpx
import numpy as np
import pandas as pd
import pytest

import emotion_classifiers as ec
from emotion_classifiers import client as module
from shared.errors import (
    InvalidInputError,
    OverloadedError,
    ServiceResponseError,
    ServiceUnreachableError,
    UnauthorizedError,
)
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import serving

HAPPY = {
    "labels": [{"label": "joy", "probability": 0.9, "threshold": 0.4, "decided": True}],
    "truncated": False,
    "num_tokens": 5,
}
EMPTY = {"error": {"error": "invalid_input", "error_type": "InvalidInputError", "detail": "the text is empty."}}


class Script:
    """A server that gives prepared answers in turn, the last one for ever, and keeps what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


def echo(request):
    """A result for every text."""
    texts = json.loads(request.content)["texts"]
    return httpx.Response(200, json={"results": [HAPPY if text else EMPTY for text in texts]})


def refusal(status, error, headers=None):
    return httpx.Response(status, json={"error": error, "error_type": "X", "detail": "it is so."}, headers=headers)


@pytest.fixture
def waits(monkeypatch):
    """Seconds that clients waited, without waiting; the random part is always its upper end."""
    found = []

    async def sleep(seconds):
        found.append(seconds)

    monkeypatch.setattr(module.time, "sleep", found.append)
    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    monkeypatch.setattr(module.random, "uniform", lambda low, high: high)
    return found


@pytest.fixture(params=["sync", "async"])
def ask(request):
    """Predict with the client or its twin, on a scripted server."""

    def sync(script, texts, options, arguments):
        with ec.Client("http://stand-in", **arguments) as client:
            client._http._transport = httpx.MockTransport(script)
            return client.predict(texts, **options)

    def twin(script, texts, options, arguments):
        async def run():
            async with ec.AsyncClient("http://stand-in", **arguments) as client:
                client._http._transport = httpx.MockTransport(script)
                return await client.predict(texts, **options)

        return asyncio.run(run())

    chosen = sync if request.param == "sync" else twin
    return lambda script, texts=("hi",), options=(), **arguments: chosen(script, texts, dict(options), arguments)


def test_results_are_typed_and_in_order(ask):
    happy, empty = ask(Script(echo), ["hi", ""])
    assert happy == ec.Prediction((ec.LabelScore("joy", 0.9, 0.4, True),), {}, False, 5)
    assert happy.labels == ("joy",)
    assert empty == ec.Prediction(error="the text is empty.")


def test_options_and_headers_are_sent(ask):
    script = Script(echo)
    ask(script, options={"policy": "half", "top_k": 2}, api_key="k", timeout_s=2.5)
    (request,) = script.asked
    assert json.loads(request.content) == {"texts": ["hi"], "policy": "half", "top_k": 2}
    assert (request.headers["X-API-Key"], request.headers["X-Request-Timeout-Ms"]) == ("k", "2500")


def test_what_is_no_text_gets_an_error_of_its_own(ask):
    script = Script(echo)
    texts = pd.Series(["hi", None, float("nan"), pd.NA, 3, "half \ud83d", b"hi"])
    assert [p.error is None for p in ask(script, texts)] == [True, False, False, False, False, True, False]
    (request,) = script.asked
    assert json.loads(request.content)["texts"] == ["hi", None, None, None, None, "half \ud83d", None]
    assert request.headers["Content-Type"] == "application/json"


def test_numbers_of_numpy_are_numbers_and_other_options_are_named(ask):
    script = Script(echo)
    ask(script, options={"thresholds": {"joy": np.float32(0.5)}, "top_k": np.int64(2)})
    assert json.loads(script.asked[0].content) == {"texts": ["hi"], "thresholds": {"joy": 0.5}, "top_k": 2}
    with pytest.raises(InvalidInputError, match="an option cannot be sent: JSON has no set"):
        ask(script, options={"thresholds": {"joy": {0.5}}})
    with pytest.raises(InvalidInputError, match="an option cannot be sent: .*JSON"):
        ask(script, options={"thresholds": {"joy": float("nan")}})


def test_long_lists_are_sent_in_batches(ask):
    script = Script(echo)
    texts = ["hi", "", "hi", "hi", ""]
    assert [p.error is None for p in ask(script, texts, batch_size=2)] == [True, False, True, True, False]
    assert sorted(len(json.loads(request.content)["texts"]) for request in script.asked) == [1, 2, 2]
    assert ask(Script(echo), []) == []


@pytest.mark.parametrize("status", [429, 502, 503])
def test_an_overloaded_service_is_asked_again_after_what_it_says(ask, waits, status):
    assert len(ask(Script(refusal(status, "overloaded", {"Retry-After": "2"}), echo))) == 1
    assert waits == [2 * 1.25]  # two seconds and at most a quarter more


def test_waits_double_where_none_is_asked_for(ask, waits):
    assert len(ask(Script(refusal(503, "not_ready"), refusal(503, "not_ready"), httpx.ConnectError("no"), echo))) == 1
    assert waits == [1.0, 2.0, 4.0]


def test_no_wait_is_endless(ask, waits):
    ask(Script(refusal(429, "overloaded", {"Retry-After": "86400"}), echo))
    assert waits == [30.0]


def test_the_last_refusal_is_raised_as_the_services_own_class(ask, waits):
    script = Script(refusal(429, "overloaded"))
    with pytest.raises(OverloadedError, match=r"^it is so\.$"):
        ask(script, attempts=3)
    assert (len(script.asked), len(waits)) == (3, 2)


@pytest.mark.parametrize(
    ("status", "error", "kind"), [(422, "invalid_input", InvalidInputError), (401, "unauthorized", UnauthorizedError)]
)
def test_a_mistake_is_not_sent_again(ask, status, error, kind):
    script = Script(refusal(status, error))
    with pytest.raises(kind, match="it is so"):
        ask(script)
    assert len(script.asked) == 1


def test_an_error_this_version_does_not_know_keeps_its_status(ask):
    with pytest.raises(ServiceResponseError, match="teapot: it is so") as raised:
        ask(Script(refusal(418, "teapot")))
    assert raised.value.status == 418


@pytest.mark.parametrize("status", [200, 404])
def test_a_proxys_page_is_said_to_be_one(ask, status):
    page = httpx.Response(status, text="<html>Hello</html>", headers={"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(
        ServiceResponseError, match=rf"http://stand-in/predict answered {status} .* with text/html, not"
    ):
        ask(Script(page))


def test_a_service_that_is_not_there_is_said_so(ask, waits):
    with pytest.raises(ServiceUnreachableError, match=r"no answer from http://stand-in/?, tried 2 times: refused\."):
        ask(Script(httpx.ConnectError("refused")), attempts=2)
    with pytest.raises(ServiceUnreachableError, match="tried once"):
        ask(Script(httpx.ConnectError("refused")), attempts=1)


def test_one_string_is_refused(ask):
    with pytest.raises(InvalidInputError, match="texts is one string"):
        ask(Script(echo), "hi")


@pytest.mark.parametrize("arguments", [{"attempts": 0}, {"batch_size": 0}])
def test_impossible_numbers_are_refused(arguments):
    with pytest.raises(InvalidInputError, match="both must be 1 or more"):
        ec.Client(**arguments)


NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("Fri, 27 Nov 2026 12:01:30 GMT", 90.0),
        ("Fri, 27 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 27 Nov 2026 12:00:10 -0000", 10.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(value, seconds):
    assert module.retry_after_s(value, NOW) == seconds


def test_what_the_service_serves():
    script = Script(lambda _: httpx.Response(200, json={"labels": ["joy"]}))
    with ec.Client("http://stand-in") as client:
        client._http._transport = httpx.MockTransport(script)
        assert client.model() == {"labels": ["joy"]}

    async def run():
        async with ec.AsyncClient("http://stand-in") as twin:
            twin._http._transport = httpx.MockTransport(script)
            return await twin.model()

    assert asyncio.run(run()) == {"labels": ["joy"]}


@pytest.mark.slow
def test_the_service_and_the_model_give_the_same_predictions(tmp_path):
    bundle = stand_in_bundle(tmp_path / "bundle")
    texts = ["i am happy", "", "the dog won !"]
    options = {"policy": "half", "top_k": 2, "taxonomy": "ekman"}
    with serving(tmp_path / "server", bundle, api_keys="key") as server:
        with ec.Client(server.url, api_key="key", batch_size=2) as client:
            served = client.predict(texts, **options, probabilities=True)
            assert client.model()["labels"] == list(ec.load(bundle).labels)
        with ec.Client(server.url) as stranger, pytest.raises(UnauthorizedError):
            stranger.predict(texts)
    assert served == ec.load(bundle, threads=1).predict(texts, **options)
