"""The real `bentoml serve` over HTTP, with a stand-in model: what clients, probes and operators see."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from serving.http.response_schemas import PredictResponse
from serving.predictor import Predictor
from tests.serving.bundles import MAX_LENGTH, stand_in_bundle
from tests.serving.servers import metric, serving

pytestmark = pytest.mark.slow

LEAK_MARKER = "zebracrossing"
TEXTS = ["i am happy", "you are so sad today", "the dog won !", "thank you so much my friend, this is a wonderful day"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("http") / "bundle")


@pytest.fixture(scope="module")
def server(tmp_path_factory, bundle):
    settings = {"max_body_bytes": 100_000, "max_texts": 120, "max_characters": 2000}
    with serving(tmp_path_factory.mktemp("server"), bundle, **settings) as running:
        yield running


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, timeout=10) as found:
        yield found


def probabilities(result):
    return {entry["label"]: entry["probability"] for entry in result["labels"]}


def test_predictions_are_those_of_the_predictor(client, bundle):
    found = client.post("/predict", json={"texts": TEXTS, "probabilities": True})
    assert found.status_code == 200
    PredictResponse.model_validate(found.json())
    predictor = Predictor.load(bundle, threads=1)
    expected = predictor.probabilities(predictor.logits(TEXTS))
    got = [[*result["probabilities"].values()] for result in found.json()["results"]]
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_single_text_is_answered_in_the_same_shape(client):
    one = client.post("/predict", json={"text": TEXTS[0]}).json()
    many = client.post("/predict", json={"texts": TEXTS}).json()
    assert one["results"] == many["results"][:1]
    assert client.post("/predict", json={"text": " "}).status_code == 422


def test_one_bad_text_among_a_hundred_costs_the_others_nothing(client):
    texts = [f"{TEXTS[i % 4]} {i}" for i in range(100)]
    alone = [client.post("/predict", json={"text": text}).json()["results"][0] for text in texts]
    for bad in ("", 7, None, "x" * 2001, "\ud800"):
        mixed = [*texts[:50], bad, *texts[51:]]
        body = json.dumps({"texts": mixed})
        results = client.post("/predict", content=body).json()["results"]
        assert results[50]["error"]["error"] == "invalid_input"
        assert [i for i, result in enumerate(results) if "error" in result] == [50]
        del results[50]
        for result, single in zip(results, alone[:50] + alone[51:], strict=True):
            assert probabilities(result) == pytest.approx(probabilities(single), abs=2e-6)
            assert result["num_tokens"] == single["num_tokens"]


def test_long_texts_are_truncated_and_say_so(client):
    result = client.post("/predict", json={"text": "happy " * 200}).json()["results"][0]
    assert result["truncated"]
    assert result["num_tokens"] == 202 > MAX_LENGTH


@pytest.mark.parametrize(
    ("request_", "status", "error"),
    [
        ({"content": b'{"texts": ["' + LEAK_MARKER.encode()}, 400, "bad_request"),
        ({"content": b"\xff" + LEAK_MARKER.encode()}, 400, "bad_request"),
        ({"json": {"texts": [LEAK_MARKER], LEAK_MARKER: LEAK_MARKER}}, 422, "invalid_input"),
        ({"json": {"text": LEAK_MARKER, "policy": LEAK_MARKER}}, 422, "invalid_input"),
        ({"json": {"texts": [LEAK_MARKER] * 121}}, 422, "invalid_input"),
        ({"json": {"text": LEAK_MARKER}, "headers": {"X-Request-Timeout-Ms": "soon"}}, 422, "invalid_input"),
        ({"json": {"text": LEAK_MARKER * 10_000}}, 413, "too_large"),
    ],
)
def test_every_error_has_its_status_and_the_one_form(client, server, request_, status, error):
    answer = client.post("/predict", **request_)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error", "error_type", "detail"}
    assert answer.json()["error"] == error
    assert LEAK_MARKER not in answer.text
    assert LEAK_MARKER not in server.log
    assert "Traceback" not in server.log


def test_a_body_without_a_length_is_limited_while_it_is_read(client):
    def chunks():
        for _ in range(300):
            yield b"x" * 1000

    assert client.post("/predict", content=chunks()).status_code == 413


def test_paths_and_methods_that_do_not_exist_have_the_one_form_too(client):
    for method, path, status in (("GET", f"/{LEAK_MARKER}", 404), ("GET", "/predict", 405), ("DELETE", "/model", 405)):
        answer = client.request(method, path)
        assert answer.status_code == status
        assert set(answer.json()) == {"error", "error_type", "detail"}
        assert LEAK_MARKER not in answer.text
    assert client.get("/predict").headers["allow"] == "POST"


def test_the_model_is_described(client, bundle):
    found = client.get("/model").json()
    assert found["labels"][0] == "admiration"
    assert found["default_policy"] == "f1"
    assert list(found["taxonomies"]) == ["goemotions", "ekman", "sentiment"]
    assert found["policies"]["half"]["joy"] == 0.5
    assert found["verification"]["passed"] is True
    assert found["metrics"] == {"dev": {"macro_f1": 0.5}}


def test_probes_documents_and_page_answer(client):
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200
    document = client.get("/docs.json").json()
    request = document["components"]["schemas"]["PredictRequest"]["properties"]
    assert request["policy"]["anyOf"][0]["enum"] == ["f1", "half"]
    assert "swagger-ui" in client.get("/docs").text
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text.replace("http://www.w3.org/", "")
    assert "https://" not in page.text


def test_request_ids_are_kept_or_made(client, server):
    assert client.get("/model", headers={"X-Request-Id": "abc-123"}).headers["x-request-id"] == "abc-123"
    made = client.get("/model", headers={"X-Request-Id": "no spaces please"}).headers["x-request-id"]
    assert len(made) == 32
    deadline = time.monotonic() + 10  # a line is written after its answer
    while not {"abc-123", made} <= (logged := logged_ids(server)):
        assert time.monotonic() < deadline, f"{logged} lacks abc-123 or {made}"
        time.sleep(0.05)


def logged_ids(server):
    lines = server.log.rpartition("\n")[0].splitlines()  # whole lines only
    return {json.loads(line).get("request_id") for line in lines if line.startswith("{")}


def test_a_line_of_the_log_has_the_clients_address_and_its_trace(client, server):
    trace = "ab" * 16
    client.get("/model", headers={"X-Request-Id": "traced-1", "traceparent": f"00-{trace}-{'cd' * 8}-01"})
    deadline = time.monotonic() + 10
    while not (lines := [json.loads(line) for line in server.log.splitlines() if '"traced-1"' in line]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (lines[0]["client"], lines[0]["trace_id"], lines[0]["route"]) == ("127.0.0.1", trace, "/model")


def test_metrics_count_what_was_answered(client, server):
    def counted() -> list[float]:
        return [
            metric(server.url, "emotion_requests_total", {"route": "/predict", "status": "200"}),
            metric(server.url, "emotion_texts_total", {"outcome": "answered"}),
            metric(server.url, "emotion_texts_total", {"outcome": "invalid_input"}),
            metric(server.url, "emotion_queue_wait_seconds_count"),
        ]

    before = counted()
    client.post("/predict", json={"texts": ["i am happy", ""]})
    assert [after - was for after, was in zip(counted(), before, strict=True)] == [1, 1, 1, 1]


def test_many_clients_at_once_are_all_answered(server):
    def ask(number: int) -> list[str]:
        with httpx.Client(base_url=server.url, timeout=20) as own:
            texts = [f"{TEXTS[number % 4]} {i}" for i in range(5)]
            return [own.post("/predict", json={"text": text}).json()["results"][0]["num_tokens"] for text in texts]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(32)))
    for number, answer in enumerate(answers):
        assert answer == answers[number % 4]


def test_a_slow_or_broken_client_harms_nobody(server, client):
    host, port = server.url.removeprefix("http://").split(":")
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\nX-Request-Timeout-Ms: 200\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as half:
        half.sendall(head + b'{"te')
        half.settimeout(5)
        assert half.recv(200).startswith(b"HTTP/1.1 504")
    with socket.create_connection((host, int(port)), timeout=5) as gone:
        gone.sendall(head + b'{"te')
    assert client.post("/predict", json={"text": "still here"}).status_code == 200


def test_keys_are_asked_for_where_they_are_set(tmp_path, bundle):
    with serving(tmp_path, bundle, api_keys="one,two", access_log="false") as server:
        with httpx.Client(base_url=server.url, timeout=10) as client:
            refused = client.post("/predict", json={"text": "i am happy"})
            assert (refused.status_code, refused.json()["error"]) == (401, "unauthorized")
            assert refused.headers["www-authenticate"] == "Bearer"
            assert client.get("/model").status_code == 401
            assert client.get("/livez").status_code == 200
            begun = time.monotonic()
            wrong = client.post("/predict", json={"text": "i am happy"}, headers={"X-API-Key": "three"})
            assert (wrong.status_code, time.monotonic() - begun >= 0.25) == (401, True)
            assert metric(server.url, "emotion_wrong_api_keys_total") == 1
            for headers in ({"X-API-Key": "two"}, {"Authorization": "Bearer one"}):
                assert client.post("/predict", json={"text": "i am happy"}, headers=headers).status_code == 200
        assert '"request"' not in server.log


def test_no_path_redirects_anywhere(client):
    for path in ("/predict/", "/model/", "/docs/", "/livez/", "/page/page.js/"):
        for method in ("GET", "POST"):
            answer = client.request(method, path, headers={"Host": "evil.example"})
            assert answer.status_code == 404, path
            assert "location" not in answer.headers


def test_the_documents_run_no_script_but_their_own(client):
    policy = client.get("/docs").headers["content-security-policy"]
    script = re.search(r"<script>(.+?)</script>", client.get("/docs").text).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy
