from __future__ import annotations

import re

import pytest

from serving.server.options import bentoml_options


@pytest.mark.parametrize(("value", "count"), [("", 1), ("3", 3), ("0", 1), ("many", 1), ("inf", 1)])
def test_the_number_of_processes_is_known_before_the_settings_are(monkeypatch, value, count):
    monkeypatch.setenv("EMOTION_PROCESSES", value)
    assert bentoml_options()["workers"] == count


def test_bentomls_time_limit_lies_behind_the_deadline(monkeypatch):
    assert bentoml_options()["traffic"]["timeout"] == 15
    monkeypatch.setenv("EMOTION_DEADLINE_MS", "60000")
    assert bentoml_options()["traffic"]["timeout"] == 65


def test_no_span_is_made_unless_somebody_collects_them(monkeypatch):
    assert bentoml_options()["tracing"] == {"excluded_urls": ".*"}
    monkeypatch.setenv("EMOTION_TRACE_ENDPOINT", "http://collector:4318/v1/traces")
    monkeypatch.setenv("EMOTION_TRACE_SAMPLE_RATE", "0.1")
    tracing = bentoml_options()["tracing"]
    assert tracing["otlp"] == {"protocol": "http", "endpoint": "http://collector:4318/v1/traces"}
    assert (tracing["exporter_type"], tracing["sample_rate"]) == ("otlp", 0.1)
    excluded = tracing["excluded_urls"]
    for path in ("livez", "readyz", "metrics", "", "docs.json", "somebody's words", "words/predict", "model/words"):
        assert re.search(excluded, f"http://127.0.0.1:3000/{path}"), path
    for path in ("predict", "model"):
        assert not re.search(excluded, f"http://127.0.0.1:3000/{path}")
