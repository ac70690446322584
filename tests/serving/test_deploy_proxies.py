"""nginx and Caddy before the real service, with the ready files: the prefix, the page, closed metrics, request ids."""

from __future__ import annotations

import contextlib
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import Server, free_port, serving
from tests.serving.test_deploy_files import FOLDER

pytestmark = pytest.mark.slow

START_S = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proxies")
    settings = {"trusted_proxies": "127.0.0.1"}
    with serving(folder / "server", stand_in_bundle(folder / "bundle"), **settings) as running:
        yield running


def ready_file(name: str, server: Server, **changes: str) -> str:
    """A ready file with the address of the service, and each of the changes made once or more."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    for old, new in {"127.0.0.1:3000": server.url.removeprefix("http://"), **changes}.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def running(command: list[str], url: str, log: Path) -> Iterator[httpx.Client]:
    """A proxy that answers, and a client of it; it is ended."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        with httpx.Client(base_url=url, timeout=10, verify=context) as client:
            end = time.monotonic() + START_S
            while True:
                assert process.poll() is None, log.read_text(encoding="utf-8")
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/emotion/readyz").status_code == 200:
                        break
                assert time.monotonic() < end, log.read_text(encoding="utf-8")
                time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait(10)


def check(client: httpx.Client, server: Server) -> None:
    answer = client.post("/emotion/predict", json={"text": "i am happy"})
    assert answer.status_code == 200
    assert answer.json() == httpx.post(f"{server.url}/predict", json={"text": "i am happy"}, timeout=10).json()
    assert answer.headers["x-request-id"] in server.log
    assert client.get("/emotion/metrics").status_code == 403
    assert httpx.get(f"{server.url}/metrics", timeout=10).status_code == 200
    page = client.get("/emotion/").text
    files = {file.removeprefix("./") for file in re.findall(r'(?:src|href)="(?!https?:)([^"#]+)"', page)} - {"metrics"}
    assert len(files) >= 2
    assert {file: client.get(f"/emotion/{file}").status_code for file in files} == dict.fromkeys(files, 200)
    assert client.get("/emotion/docs.json").json()["openapi"].startswith("3.1")
    assert client.post("/predict", json={"text": "i am happy"}).status_code in (403, 404, 405)


def test_nginx_hands_on_what_is_below_its_prefix(server, tmp_path):
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None or shutil.which("openssl") is None:
        pytest.skip("nginx or openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=journal.example"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=60)
    port = free_port()
    ours = ready_file(
        "nginx.conf", server,
        **{"listen 443": f"listen 127.0.0.1:{port}", "/etc/ssl/journal.example.pem": str(certificate),
           "/etc/ssl/journal.example.key": str(key)},
    )  # fmt: skip
    places = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}}\nhttp {{ access_log off; {places}\n{ours}\n}}",
        encoding="utf-8",
    )
    command = [program, "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    subprocess.run([*command, "-t"], check=True, capture_output=True, timeout=60)
    with running(command, f"https://127.0.0.1:{port}", tmp_path / "log") as client:
        check(client, server)


def test_caddy_hands_on_what_is_below_its_prefix(server, tmp_path, monkeypatch):
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("caddy is not installed")
    port = free_port()
    ours = ready_file("Caddyfile", server, **{"journal.example": f"http://127.0.0.1:{port}"})
    (tmp_path / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{ours}", encoding="utf-8")
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    command = [program, "run", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile")]
    with running(command, f"http://127.0.0.1:{port}", tmp_path / "log") as client:
        check(client, server)
