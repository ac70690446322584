from __future__ import annotations

import pytest

from serving.server import preflight
from serving.server.preflight import check_tracing
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
