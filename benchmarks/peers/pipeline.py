"""What most people write first: FastAPI around a transformers pipeline, in PyTorch with Hugging Face's own attention.

Run: python -m benchmarks.peers.pipeline BUNDLE --port 3001
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.command import run_server
from shared.bundle import Bundle


class Texts(BaseModel):
    """The request."""

    texts: list[str]


def create_app(bundle: Path) -> FastAPI:
    """The application; torch takes as many threads as it likes, as it does where nobody tells it."""
    classify = _pipeline(Bundle.read(bundle))
    app = FastAPI()

    @app.post("/predict")
    def predict(request: Texts) -> dict[str, Any]:
        return {"results": [{"labels": labels} for labels in classify(request.texts)]}

    @app.get("/readyz")
    def ready() -> str:
        return "ready"

    return app


def _pipeline(bundle: Bundle) -> Any:
    from transformers import PreTrainedTokenizerFast, TextClassificationPipeline

    from benchmarks.contenders.hugging_face import load_stock

    tokenizer = PreTrainedTokenizerFast.from_pretrained(bundle.path)
    return TextClassificationPipeline(  # type: ignore[no-untyped-call]
        model=load_stock(bundle.path), tokenizer=tokenizer, framework="pt", top_k=None, function_to_apply="sigmoid",
        truncation=True, max_length=bundle.manifest.max_length,
    )  # fmt: skip


if __name__ == "__main__":
    run_server(__doc__, create_app)
