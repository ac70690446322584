"""What existing clients send to the real service: other servers' forms, gzip, browsers, idle connections."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest

from serving.predictor import Predictor
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import serving

pytestmark = pytest.mark.slow

ORIGIN = "https://journal.example"
TEXTS = ["i am happy", "the dog won !"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("clients") / "bundle")


@pytest.fixture(scope="module")
def server(tmp_path_factory, bundle):
    settings = {"cors_origins": f"{ORIGIN}, http://localhost:5173", "api_keys": "secret", "max_body_bytes": 100_000}
    with serving(tmp_path_factory.mktemp("server"), bundle, **settings) as running:
        yield running


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, timeout=10, headers={"X-API-Key": "secret"}) as found:
        yield found


@pytest.fixture(scope="module")
def expected(bundle):
    """Label -> probability of each text."""
    predictor = Predictor.load(bundle, threads=1)
    rows = predictor.probabilities(predictor.logits(TEXTS))
    return [dict(zip(predictor.labels, row.tolist(), strict=True)) for row in rows]


def check(scores: list[dict], expected: dict[str, float]) -> None:
    assert {entry["label"]: entry["score"] for entry in scores} == pytest.approx(expected, abs=2e-6)
    assert [entry["score"] for entry in scores] == sorted((entry["score"] for entry in scores), reverse=True)


def test_hugging_faces_client_reads_the_answer(server, expected, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # the address is this machine's
    client = hub.InferenceClient(model=server.url, token="secret", timeout=10)
    found = client.text_classification(TEXTS[0])
    check([{"label": entry.label, "score": entry.score} for entry in found], expected[0])
    assert len(client.text_classification(TEXTS[0], top_k=3)) == 3


@pytest.mark.parametrize("path", ["/", "/predict"])
@pytest.mark.parametrize("inputs", [TEXTS, [[text] for text in TEXTS]])
def test_requests_of_text_embeddings_inference_are_answered(client, expected, path, inputs):
    answer = client.post(path, json={"inputs": inputs, "raw_scores": False, "truncate": True})
    assert answer.status_code == 200
    for scores, wanted in zip(answer.json(), expected, strict=True):
        check(scores, wanted)


def test_requests_of_infinity_are_answered(client, expected):
    answer = client.post("/classify", json={"model": "whatever", "input": TEXTS}).json()
    for scores, wanted in zip(answer["data"], expected, strict=True):
        check(scores, wanted)
    assert answer["usage"]["total_tokens"] == 5 + 6


def test_one_bad_text_fails_a_request_whose_form_has_no_place_for_it(client):
    answer = client.post("/", json={"inputs": ["fine", " "]})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("inputs[1]: the text is empty")


def test_every_way_to_predict_needs_a_key_and_the_page_does_not(server):
    for path in ("/", "/predict", "/classify"):
        assert httpx.post(f"{server.url}{path}", json={"inputs": "a"}, timeout=10).status_code == 401
    assert httpx.get(server.url, timeout=10).status_code == 200


def test_a_packed_body_is_unpacked_within_the_limit(client):
    def post(content: bytes, encoding: str) -> tuple[int, str]:
        answer = client.post("/predict", content=content, headers={"Content-Encoding": encoding})
        return answer.status_code, answer.json().get("error", "")

    body = json.dumps({"texts": TEXTS}).encode()
    assert post(gzip.compress(body), "gzip") == (200, "")
    assert post(gzip.compress(body)[:-8], "gzip") == (400, "bad_request")
    assert post(body, "gzip") == (400, "bad_request")
    assert post(gzip.compress(b"x" * 50_000_000), "gzip") == (413, "too_large")
    assert post(body, "br") == (415, "unsupported_encoding")


def test_a_long_answer_is_packed_for_who_takes_it(client):
    body = {"texts": TEXTS * 10, "probabilities": True}
    packed = client.post("/predict", json=body)
    plain = client.post("/predict", json=body, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2
    assert "content-encoding" not in client.post("/predict", json={"text": TEXTS[0]}).headers


def test_pages_of_allowed_origins_may_ask_and_others_may_not(client, server):
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-api-key"}
    allowed = httpx.options(f"{server.url}/predict", headers={"Origin": ORIGIN, **asking}, timeout=10)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, ORIGIN)
    answer = client.post("/predict", json={"text": "a"}, headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    failed = client.post("/predict", json={"text": ""}, headers={"Origin": ORIGIN})
    assert (failed.status_code, failed.headers["access-control-allow-origin"]) == (422, ORIGIN)
    refused = httpx.options(f"{server.url}/predict", headers={"Origin": "https://evil.example", **asking}, timeout=10)
    assert refused.status_code == 400
    other = client.post("/predict", json={"text": "a"}, headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
