"""OpenTelemetry traces of the real service, sent to a collector that decodes them; and to one that is not there."""

from __future__ import annotations

import socket
import time

import httpx
import pytest

from tests.serving.bundles import stand_in_bundle
from tests.serving.collector import collecting
from tests.serving.servers import serve_and_fail, serving

pytestmark = pytest.mark.slow

LEAK_MARKER = "zebracrossing"
KEY = "a-key-of-somebody"
WITH_KEY = {"X-API-Key": KEY}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("traces") / "bundle")


def attributes(span):
    return {item.key: item.value.string_value or item.value.int_value for item in span.attributes}


def test_spans_of_predict_arrive_and_hold_no_text_and_no_key(tmp_path, bundle):
    with collecting() as collector:
        with serving(tmp_path, bundle, trace_endpoint=collector.url, api_keys=KEY) as server:
            with httpx.Client(base_url=server.url, headers=WITH_KEY, timeout=10) as client:
                parent = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
                sent = [
                    client.post(f"/predict?text={LEAK_MARKER}", json={"text": LEAK_MARKER}, headers=parent).status_code,
                    client.post("/predict", json={"texts": [LEAK_MARKER], "policy": LEAK_MARKER}).status_code,
                    client.post("/predict", json={"text": LEAK_MARKER}, headers={"X-API-Key": f"{KEY}!"}).status_code,
                    client.get(f"/{LEAK_MARKER}").status_code,
                    client.get(f"/{LEAK_MARKER}/predict").status_code,
                    *(client.get(path).status_code for path in ("/livez", "/readyz", "/metrics", "/docs.json")),
                ]
            assert sent == [200, 422, 401, 404, 404, 200, 200, 200, 200]
            end = time.monotonic() + 60
            while len(collector.named("POST /predict")) < 2 and time.monotonic() < end:
                time.sleep(0.1)
        assert "Traceback" not in server.log
    spans = collector.named("POST /predict")
    assert [attributes(span)["http.status_code"] for span in spans] == [200, 422]
    assert spans[0].trace_id == bytes.fromhex("ab" * 16)
    assert spans[0].end_time_unix_nano > spans[0].start_time_unix_nano
    assert collector.services == {"emotion"}
    assert {span.name.split(" http ")[0] for span in collector.spans} == {"POST /predict"}
    everything = b"".join(collector.bodies)
    assert LEAK_MARKER.encode() not in everything
    assert KEY.encode() not in everything


@pytest.mark.parametrize("collector", ["down", "silent"])
def test_a_collector_that_is_down_or_silent_neither_fails_nor_delays_anybody(tmp_path, bundle, collector):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if collector == "silent":
            listener.listen(16)
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/traces"
        with serving(tmp_path, bundle, trace_endpoint=endpoint) as server:
            begun = time.monotonic()
            with httpx.Client(base_url=server.url, timeout=3) as client:  # less than the exporter's own 10 s
                while time.monotonic() < begun + 7:  # spans are sent every 5 s
                    assert client.post("/predict", json={"text": LEAK_MARKER}).status_code == 200
            server.terminate()
            assert server.process.wait(15) == 0
        assert LEAK_MARKER not in server.log


def test_traces_that_cannot_be_sent_end_the_command_with_one_line(tmp_path, bundle):
    code, output = serve_and_fail(tmp_path, bundle, trace_endpoint="collector:4318")
    assert code == 2
    assert "error: EMOTION_TRACE_ENDPOINT is 'collector:4318', which is no HTTP address. Give it in full" in output
