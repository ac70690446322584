"""Requests as clients of other servers send them, and the answers that those clients read.

Hugging Face's Inference API and text-embeddings-inference (https://huggingface.co/docs/inference-providers/tasks/
text-classification, https://huggingface.github.io/text-embeddings-inference), and infinity's `/classify`
(https://michaelfeil.github.io/infinity). All list every label with its calibrated probability, the most probable first.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from serving.batching.jobs import Row
from serving.complaints import describe, one_complaint
from serving.http.response_schemas import DIGITS
from shared.bundle import Bundle
from shared.errors import InvalidInputError

_STRICT = ConfigDict(extra="forbid", frozen=True)
TopK = Annotated[StrictInt, Field(ge=1, le=1000)]


def _off(value: Any) -> Any:
    """False itself: to Python 0 and 0.0 equal it."""
    if value is not False:
        raise ValueError("must be false: scores are probabilities")
    return value


Off = Annotated[Literal[False], BeforeValidator(_off)]

_ONE_OR_MORE = one_complaint("must be a text or a list of texts")
_Nested = list[Annotated[list[StrictStr], Field(min_length=1, max_length=1)]]


class HuggingFaceParameters(BaseModel):
    """What `parameters` may hold."""

    model_config = _STRICT

    top_k: TopK | None = Field(default=None, description="The k most probable labels; all of them if unset.")
    function_to_apply: Literal["sigmoid", "softmax", "none"] | None = Field(
        default=None, description="The model's own if unset, and no other is possible: scores are calibrated."
    )


class HuggingFaceRequest(BaseModel):
    """A request of `huggingface_hub.InferenceClient.text_classification`, or of text-embeddings-inference."""

    model_config = _STRICT

    inputs: Annotated[StrictStr | list[StrictStr] | _Nested, _ONE_OR_MORE] = Field(
        description="A text or several; each may be a list of its own."
    )
    parameters: HuggingFaceParameters | None = None
    options: dict[StrictStr, Any] | None = Field(default=None, description="Of the Inference API; without effect here.")
    truncate: StrictBool | None = Field(
        default=None, description="Without effect: long texts always lose their middle."
    )
    raw_scores: Off | None = Field(default=None, description="Scores are probabilities.")


class InfinityRequest(BaseModel):
    """A request of infinity's `/classify`."""

    model_config = _STRICT

    input: Annotated[StrictStr | list[StrictStr], _ONE_OR_MORE] = Field(description="A text or several.")
    model: StrictStr | None = Field(default=None, description="Any name: one model is served.")
    raw_scores: Off | None = Field(default=None, description="Scores are probabilities.")


class Score(BaseModel):
    """One label with its calibrated probability."""

    label: str
    score: float


class Usage(BaseModel):
    """Tokens of the texts, special tokens included."""

    prompt_tokens: int
    total_tokens: int


class InfinityResponse(BaseModel):
    """An answer as infinity's `/classify` gives it."""

    object: Literal["classify"] = "classify"
    data: list[list[Score]]
    model: str
    usage: Usage
    id: str
    created: int


@dataclass(frozen=True)
class ScoresRequest:
    """What either form asks for: texts, and how many labels of each; `field` is where the texts stood."""

    texts: Sequence[str]
    top_k: int | None
    field: Literal["inputs", "input"]


def parse_scores_request(value: Any, *, max_texts: int, activation: str) -> ScoresRequest:
    """A request with `inputs` or `input`, checked.

    Args:
        value: the JSON of its body.
        max_texts: most texts of one request.
        activation: of the model, sigmoid or softmax.

    Raises:
        InvalidInputError: when a field is missing, unknown or has a value that is not allowed.
    """
    if not isinstance(value, dict):
        raise InvalidInputError("the body must be a JSON object.", hint='Send {"inputs": "I passed!"}')
    field: Literal["inputs", "input"] = "inputs" if "inputs" in value else "input"
    form = HuggingFaceRequest if field == "inputs" else InfinityRequest
    try:
        request = form.model_validate(value)
    except ValidationError as error:
        raise InvalidInputError(describe(error, form), hint=f'A valid request: {{"{field}": "I passed!"}}') from None
    given = request.inputs if isinstance(request, HuggingFaceRequest) else request.input
    texts = [given] if isinstance(given, str) else [text if isinstance(text, str) else text[0] for text in given]
    if not 1 <= len(texts) <= max_texts:
        raise InvalidInputError(f"{len(texts)} texts in one request; allowed: 1 to {max_texts}.")
    parameters = (request.parameters if isinstance(request, HuggingFaceRequest) else None) or HuggingFaceParameters()
    if parameters.function_to_apply not in (None, activation):
        raise InvalidInputError(
            f"function_to_apply: the scores are calibrated probabilities; allowed: {activation}, or leave it out."
        )
    return ScoresRequest(texts, parameters.top_k, field)


def render_scores(request: ScoresRequest, rows: Sequence[Row], bundle: Bundle) -> Any:
    """The answer in the form of the request: a list of scores for each text, for infinity with usage around it."""
    scores = [_ranked(row, request.top_k, bundle.manifest.labels) for row in rows]
    if request.field == "inputs":
        return scores
    num_tokens = sum(row.num_tokens for row in rows)
    return {
        "object": "classify",
        "data": scores,
        "model": bundle.seal,
        "usage": {"prompt_tokens": num_tokens, "total_tokens": num_tokens},
        "id": uuid.uuid4().hex,
        "created": int(time.time()),
    }


def _ranked(row: Row, top_k: int | None, labels: Sequence[str]) -> list[dict[str, Any]]:
    order = np.argsort(-row.probabilities, kind="stable")[:top_k]
    return [{"label": labels[i], "score": round(float(row.probabilities[i]), DIGITS)} for i in order]
