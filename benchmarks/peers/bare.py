"""The least a server can do: Starlette, the int8 model in a thread a core, one request at a time in each; no batching.

Run: python -m benchmarks.peers.bare BUNDLE --port 3001
"""

from __future__ import annotations

import json
from pathlib import Path

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from benchmarks.peers.answering import Answerer
from benchmarks.peers.command import run_server
from shared.cli import default_threads


def create_app(bundle: Path) -> Starlette:
    """The application; it is ready when it exists."""
    answerer = Answerer(bundle, threads=1)
    # as many as there are cores: with more, threads only take turns on them, and it measured slower
    limiter = anyio.CapacityLimiter(default_threads())

    async def predict(request: Request) -> JSONResponse:
        texts = json.loads(await request.body())["texts"]
        return JSONResponse({"results": await anyio.to_thread.run_sync(answerer.answer, texts, limiter=limiter)})

    async def ready(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ready")

    return Starlette(routes=[Route("/predict", predict, methods=["POST"]), Route("/readyz", ready)])


if __name__ == "__main__":
    run_server(__doc__, create_app)
