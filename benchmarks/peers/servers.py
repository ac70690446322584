"""Servers of the comparison with the service's answers: a bare one around our model, and FastAPI around a pipeline.

Run: EMOTION_BUNDLE=... python -m benchmarks.peers.servers bare --port 3001
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn

from serving.batching.jobs import Row
from serving.http.responses import result, rules_for
from serving.http.schemas import PredictRequest
from serving.predictor import Predictor, batch_limits, batches_by_length
from shared.bundle import Bundle, default_bundle_path
from shared.cli import CommandParser, default_threads, run_command


class Answerer:
    """The service's tokens, calibration, thresholds and form of answers, on `threads` CPU threads of one model."""

    def __init__(self, bundle: Path, *, threads: int) -> None:
        self.predictor = Predictor.load(bundle, threads=threads)
        self._rules = rules_for(PredictRequest(texts=[""]), self.predictor.bundle)

    def answer(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """One result for each text, in order; run in batches of similar length."""
        predictor = self.predictor
        encoded = predictor.tokenizer.encode(texts)
        results: list[dict[str, Any]] = [{}] * len(encoded)
        for rows in batches_by_length([len(row.ids) for row in encoded], *batch_limits(predictor.session)):
            probabilities = predictor.probabilities(predictor.run([encoded[row] for row in rows]))
            for row, values in zip(rows, probabilities, strict=True):
                answered = Row(values, encoded[row].num_tokens, encoded[row].truncated)
                results[row] = result(answered, self._rules, predictor.bundle)
        return results


def bare(bundle: Path) -> Any:
    """The least a server can do: Starlette, the model in a thread a core, one request at a time each, no batching."""
    import anyio
    import anyio.to_thread
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    answerer = Answerer(bundle, threads=1)
    # as many as there are cores: with more, threads only take turns on them, and it measured slower
    limiter = anyio.CapacityLimiter(default_threads())

    async def predict(request: Request) -> JSONResponse:
        texts = json.loads(await request.body())["texts"]
        return JSONResponse({"results": await anyio.to_thread.run_sync(answerer.answer, texts, limiter=limiter)})

    async def ready(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("ready")

    return Starlette(routes=[Route("/predict", predict, methods=["POST"]), Route("/readyz", ready)])


def pipeline(bundle: Path) -> Any:
    """What most people write first: a transformers pipeline in FastAPI, with Hugging Face's own attention.

    Torch takes as many threads as it likes, as it does unless configured.
    """
    from fastapi import Body, FastAPI
    from transformers import PreTrainedTokenizerFast, TextClassificationPipeline

    from benchmarks.contenders.networks import load_stock

    sealed = Bundle.read(bundle)
    classify: Any = TextClassificationPipeline(  # type: ignore[no-untyped-call]
        model=load_stock(sealed.path), tokenizer=PreTrainedTokenizerFast.from_pretrained(sealed.path), framework="pt",
        top_k=None, function_to_apply="sigmoid", truncation=True, max_length=sealed.manifest.max_length,
    )  # fmt: skip
    app, texts_field = FastAPI(), Body(embed=True)

    @app.post("/predict")
    def predict(texts: list[str] = texts_field) -> dict[str, Any]:
        return {"results": [{"labels": labels} for labels in classify(texts)]}

    @app.get("/readyz")
    def ready() -> str:
        return "ready"

    return app


def main() -> None:
    """Serve until stopped."""
    command, kinds = CommandParser("benchmarks.peers.servers"), {"bare": bare, "pipeline": pipeline}
    command.add_argument("kind", choices=kinds)
    command.add_argument("--port", type=int, default=3001)
    options = command.parse_args()
    app = kinds[options.kind](default_bundle_path())
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    run_command(main)
