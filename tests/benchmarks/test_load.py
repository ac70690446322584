from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from benchmarks.client import Client, Target, check_loopback, request_bodies, wait_until_ready
from benchmarks.load import main, parse_arguments
from benchmarks.peers.launch import INFINITY
from shared.errors import ConfigError, NotReadyError


async def predict(request: Request) -> JSONResponse:
    texts = (await request.json())["texts"]
    if request.headers.get("x-mood") == "busy":
        return JSONResponse({"error": "overloaded"}, 429)
    if request.headers.get("x-mood") == "sloppy":
        return JSONResponse({"results": []})
    if request.headers.get("x-mood") == "slow":
        await asyncio.sleep(5)
    return JSONResponse({"results": [{"labels": []} for _ in texts]})


async def classify(request: Request) -> JSONResponse:
    return JSONResponse({"object": "classify", "data": [[] for _ in (await request.json())["input"]]})


async def ready(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ready")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    asked = [Route("/predict", predict, methods=["POST"]), Route("/classify", classify, methods=["POST"])]
    app = Starlette(routes=[*asked, Route("/readyz", ready)])
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listener.close()


@pytest.mark.parametrize("mode", [["--rate", "200"], ["--clients", "3"]])
def test_a_run_answers_with_one_line_of_json_and_a_plot(
    url: str, mode: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*mode, "--seconds", "0.4", "--warmup-s", "0.1", "--url", url, "--output", str(tmp_path / "run")]
    assert main([*arguments, "--texts-per-request", "2"]) == 0
    shown = capsys.readouterr().out.splitlines()
    content = json.loads(shown[-1])
    assert content["outcomes"] == {"ok": content["requests"]}
    assert content["requests"] > 10
    assert content["texts_per_s"] == pytest.approx(2 * content["throughput_per_s"], abs=0.02)
    assert content == json.loads((tmp_path / "run" / "load.json").read_text(encoding="utf-8"))
    ET.parse(tmp_path / "run" / "load.svg")
    assert "| ok |" in "\n".join(shown)


@pytest.mark.parametrize(
    ("mood", "timeout_s", "outcome"),
    [("busy", 5.0, "http 429"), ("sloppy", 5.0, "wrong answer"), ("slow", 0.1, "timeout")],
)
def test_outcomes_are_told_apart(url: str, mood: str, timeout_s: float, outcome: str) -> None:
    async def send() -> str:
        async with Client(Target(url, headers={"x-mood": mood}, timeout_s=timeout_s)) as client:
            return await client.send(b'{"texts": ["a"]}')

    assert asyncio.run(send()) == outcome


def test_a_server_is_asked_in_its_own_form(url: str) -> None:
    async def send(number: int) -> str:
        async with Client(Target(url, INFINITY, texts_per_request=number)) as client:
            return await client.send(next(request_bodies(["a", "b"], 2, field=INFINITY.texts)))

    assert asyncio.run(send(2)) == "ok"
    assert asyncio.run(send(3)) == "wrong answer"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_service_that_is_not_there_is_refused_or_never_ready() -> None:
    async def send(url: str) -> str:
        async with Client(Target(url)) as client:
            return await client.send(b"{}")

    url = f"http://127.0.0.1:{free_port()}"
    assert asyncio.run(send(url)) == "connection refused"
    with pytest.raises(NotReadyError, match="not ready after 0.1 s: no answer"):
        wait_until_ready(url, 0.1)


def test_load_stays_on_this_machine_unless_told_otherwise() -> None:
    for url in ("http://127.0.0.1:3000", "http://localhost", "http://[::1]:80"):
        check_loopback(url)
    for url in ("http://example.org", "http://10.0.0.1:3000"):
        with pytest.raises(ConfigError, match="is not this machine.*--allow-remote"):
            check_loopback(url)
    with pytest.raises(ConfigError, match="is no address"):
        check_loopback("nonsense")
    with pytest.raises(ConfigError, match="is not this machine"):
        main(["--clients", "1", "--url", "http://example.org"])


def test_the_help_teaches_the_two_modes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])
    shown = capsys.readouterr().out
    assert "coordinated" in shown
    assert "For example:" in shown


@pytest.mark.parametrize("arguments", [[], ["--rate", "1", "--clients", "1"], ["--rate", "-1"], ["--clients", "0"]])
def test_a_run_needs_exactly_one_mode_with_a_positive_number(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match="--rate|--clients"):
        parse_arguments(arguments)
