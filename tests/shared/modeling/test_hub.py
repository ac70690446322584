"""The hub is asked only where it can answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from shared.modeling import hub
from shared.modeling.hub import checkpoint_file, first_line, hub_is_reachable, local_only


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "getproxies", dict)
    hub_is_reachable.cache_clear()
    yield
    hub_is_reachable.cache_clear()


def test_listening_server_is_reachable_and_a_closed_port_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert hub_is_reachable()
        assert not local_only("some/model")
    hub_is_reachable.cache_clear()
    assert not hub_is_reachable()
    assert local_only("some/model")


def test_no_connection_is_tried_when_offline_is_asked_for_or_a_proxy_stands_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket, "create_connection", fail)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not hub_is_reachable()
    hub_is_reachable.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "getproxies", lambda: {"https": "http://proxy:3128"})
    assert hub_is_reachable()


def test_folders_never_need_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "hub_is_reachable", lambda: pytest.fail("the hub was asked for"))
    assert local_only(tmp_path)
    assert local_only(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert checkpoint_file(tmp_path, "config.json") == tmp_path / "config.json"
    assert checkpoint_file(tmp_path, "spm.model") is None


def test_file_of_an_unreachable_model_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert checkpoint_file("some/model", "tokenizer.json") is None


def test_first_line_of_an_error() -> None:
    assert first_line(OSError("it failed.\nlong story")) == "it failed."
    assert first_line(KeyError()) == "KeyError."
