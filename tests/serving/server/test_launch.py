from __future__ import annotations

import os

import pytest

from serving.server import launch
from serving.settings import port_of_the_environment
from shared.errors import ConfigError


def launched(monkeypatch, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment that the process would become."""
    became: list = []
    monkeypatch.setattr(os, "execve", lambda _program, command, environment: became.append((command, environment)))
    launch.main(arguments)
    return became[0]


def test_the_bundle_host_and_port_are_handed_on(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    command, environment = launched(monkeypatch, "journal", "--host", "0.0.0.0", "--port", "8080")
    assert command[1:] == [
        "-m", "bentoml", "serve", "serving.service:EmotionService", "--port", "8080", "--host", "0.0.0.0",
    ]  # fmt: skip
    assert environment["EMOTION_BUNDLE"] == str(tmp_path / "journal")


def test_without_arguments_the_environment_decides(monkeypatch, tmp_path):
    monkeypatch.setenv("EMOTION_BUNDLE", str(tmp_path / "other"))
    monkeypatch.setenv("PORT", "5001")
    monkeypatch.delenv("EMOTION_HOST", raising=False)
    command, environment = launched(monkeypatch)
    assert command[-2:] == ["--port", "5001"]
    assert environment["EMOTION_BUNDLE"] == str(tmp_path / "other")


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_what_is_no_port_is_refused(monkeypatch, port):
    with pytest.raises(ConfigError, match=f"'{port}' is not a port, 1 to 65535"):
        launch.main(["--port", port])
    monkeypatch.setenv("PORT", port)
    with pytest.raises(ConfigError, match=f"PORT is '{port}', which is no port. Give a number from 1 to 65535"):
        port_of_the_environment()
