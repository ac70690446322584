from __future__ import annotations

import re

import pytest

from serving.server import preflight
from serving.server.preflight import (
    PRIVATE_INTERFACES,
    bentoml_options,
    check_build,
    check_private_interfaces,
    check_tracing,
)
from shared.errors import ConfigError


def test_without_an_address_nothing_is_asked_for(monkeypatch):
    monkeypatch.delenv("EMOTION_TRACE_ENDPOINT", raising=False)
    monkeypatch.setattr(preflight, "EXPORTER", "no_such_package.no_such_module")
    check_tracing()


def test_an_address_with_the_exporter_installed_is_fine(monkeypatch):
    monkeypatch.setenv("EMOTION_TRACE_ENDPOINT", "http://collector:4318/v1/traces")
    check_tracing()


@pytest.mark.parametrize("missing", ["no_such_package.no_such_module", "opentelemetry.no_such_module"])
def test_an_exporter_that_is_not_installed_is_said_with_the_remedy(monkeypatch, missing):
    monkeypatch.setenv("EMOTION_TRACE_ENDPOINT", "http://collector:4318/v1/traces")
    monkeypatch.setattr(preflight, "EXPORTER", missing)
    with pytest.raises(
        ConfigError, match=r"EMOTION_TRACE_ENDPOINT is set, but .* not installed\. Run: pip install open"
    ):
        check_tracing()


@pytest.mark.parametrize("address", ["collector:4318", "ftp://collector/v1", "http:///v1/traces", "yes"])
def test_what_is_no_http_address_is_refused(monkeypatch, address):
    monkeypatch.setenv("EMOTION_TRACE_ENDPOINT", address)
    with pytest.raises(ConfigError, match="no HTTP address. Give it in full, for example http://collector"):
        check_tracing()


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


def test_the_installed_libraries_have_what_is_used_of_them():
    check_private_interfaces()


@pytest.mark.parametrize("package", PRIVATE_INTERFACES)
def test_a_library_that_lost_what_is_used_of_it_is_refused_by_name(monkeypatch, package):
    _, names = PRIVATE_INTERFACES[package][0]
    lacking = type("Lacking", (), dict.fromkeys(names[1:]))
    monkeypatch.setattr(preflight, "PRIVATE_INTERFACES", {**PRIVATE_INTERFACES, package: ((lacking, names),)})
    with pytest.raises(ConfigError, match=rf"{package} [\d.]+ lacks Lacking\.{names[0]}, which this service relies on"):
        check_private_interfaces()


def test_a_build_without_a_bundle_ends_in_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("sys.argv", ["bentoml", "build"])
    with pytest.raises(SystemExit, match="2"):
        check_build(tmp_path)
    line = f"error: there is nothing to serve in {tmp_path / 'bundle'}. Write it with: python -m serving.pack BUNDLE"
    assert capsys.readouterr().err == f"{line} --into bundle\n"
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "requirements.txt").touch()
    check_build(tmp_path)
    monkeypatch.setattr("sys.argv", ["bentoml", "serve"])
    check_build(tmp_path / "nothing")
