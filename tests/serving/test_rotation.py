"""Keys and bundles are rotated on a running service by the very commands of the documents."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from shared.bundle import Bundle
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import ROOT, Server, serving
from tests.serving.test_service_life import link_to, until

pytestmark = pytest.mark.slow


def commands(page: str, first: str) -> list[str]:
    """Lines of the code block of a page that begins with `first`."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    (block,) = (block for block in blocks if block.startswith(first))
    return block.splitlines()


def shell(lines: list[str], folder: Path, **variables: str) -> str:
    """What the lines print, one shell for all of them."""
    ended = subprocess.run(
        ["bash", "-ec", "\n".join(lines)], cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def status(server: Server, key: str) -> int:
    body = {"text": "i am happy"}
    return httpx.post(f"{server.url}/predict", json=body, headers={"X-API-Key": key}, timeout=10).status_code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With two bundles, the link to one of them, and a file with a key."""
    found = tmp_path_factory.mktemp("rotation")
    for seed, name in enumerate(("v1", "v2")):
        stand_in_bundle(found / name, seed=seed)
    link_to(found / "current", Path("v1"))
    (found / "keys").write_text("old\nother\n", encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def server(folder):
    settings = {"watch_s": 0.2, "api_key_file": folder / "keys"}
    with serving(folder / "server", folder / "current", **settings) as running:
        yield running


def test_keys_are_rotated_by_the_documented_commands(server, folder):
    make, add, remove = commands("security.md", "NEW=")
    assert status(server, "old") == 200
    new = shell([make, add, "echo $NEW"], folder).strip()
    assert len(new) == 64
    until(lambda: status(server, new) == 200)
    assert (status(server, "old"), status(server, "other")) == (200, 200)
    shell([remove], folder, OLD="old")
    until(lambda: status(server, "old") == 401)
    assert (status(server, new), status(server, "other")) == (200, 200)


def test_bundles_are_rotated_and_back_by_the_documented_commands(server, folder):
    swap, ask, back = commands("deploy.md", "ln -sfn v2")
    ask = ask.replace("http://localhost:3000", server.url)
    shell([swap], folder)
    until(lambda: shell([f"{ask} || true"], folder, KEY="other").strip() == Bundle.read(folder / "v2").seal)
    shell([back], folder)
    first = Bundle.read(folder / "v1").seal
    headers = {"X-API-Key": "other"}
    until(lambda: httpx.get(f"{server.url}/model", headers=headers, timeout=10).json()["seal"] == first)
