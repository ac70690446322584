"""The OpenAPI document of the service, made from the schemas it validates with, and the page that shows it."""

from __future__ import annotations

from typing import Any

from serving.http.compat import HuggingFaceRequest, InfinityRequest, InfinityResponse, Score
from serving.http.intensities import MADE_FOR_LABELS
from serving.http.response_schemas import ErrorBody, PredictResponse
from serving.http.schemas import PredictRequest
from serving.settings import Settings
from shared.bundle import Bundle
from shared.labels import taxonomies_for

_REFERENCE = "#/components/schemas/{model}"
_VISIBLE = "[^\\s\\u0000-\\u0020\\u007f]"
_ERRORS = {
    400: "The body is not JSON.",
    401: "The API key is missing or wrong.",
    413: "The body is too large.",
    415: "The body is neither plain nor gzip.",
    422: "A field is missing, unknown or has a value that is not allowed.",
    429: "Overloaded; `Retry-After` says when to try again.",
    431: "The request line and headers are too large.",
    503: "Not ready: starting, shutting down, or the model failed.",
    504: "The deadline passed.",
}
_EXAMPLE = {"texts": ["I passed the exam!", "I miss her so much."], "policy": "f1", "probabilities": True}

DOCS_SCRIPT = 'SwaggerUIBundle({url: "./docs.json", dom_id: "#swagger-ui", validatorUrl: null});'
"""Its hash is in the content security policy of the page."""

DOCS_PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Emotion service: interface</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="./static_content/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="./static_content/swagger-ui-bundle.js"></script>
<script>{DOCS_SCRIPT}</script>
</body></html>
"""
"""Swagger UI from the files that BentoML carries: no other host is asked."""


def document(settings: Settings, bundle: Bundle | None = None) -> dict[str, Any]:
    """The OpenAPI 3.1 document; with the names that `bundle`, the one in service, allows."""
    keys = bool(settings.api_keys.get_secret_value()) or settings.api_key_file is not None
    graded = bundle is not None and bundle.readout is not None
    content: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Emotion service",
            "version": "1",
            "description": "Intensities of emotions in text, with intervals."
            if graded
            else "Calibrated multi-label emotion probabilities of text.",
        },
        "servers": [{"url": "."}],
        "paths": {
            "/predict": {"post": _predict(settings, graded=graded)},
            "/": {
                "post": _post(
                    "Scores of every label, as Hugging Face's Inference API and text-embeddings-inference give them.",
                    "huggingFace",
                    "HuggingFaceRequest",
                    {"type": "array", "items": _list_of("Score")},
                )
            },
            "/classify": {
                "post": _post(
                    "Scores of every label, as infinity gives them.",
                    "classify",
                    "InfinityRequest",
                    _reference("InfinityResponse"),
                )
            },
            "/model": {"get": _get("The bundle in service.", 200, 401, 503)},
            "/livez": {"get": _get("Whether the process lives.", 200, plain=True)},
            "/readyz": {"get": _get("Whether requests are answered.", 200, 503, plain=True)},
            "/metrics": {"get": _get("Metrics in Prometheus' text format.", 200, plain=True)},
        },
        "components": {"schemas": _schemas(settings, bundle)},
    }
    if graded:  # the forms of other servers have a place for probabilities alone
        for path in ("/", "/classify"):
            del content["paths"][path]
    if keys:
        content["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        for path, method in (("/predict", "post"), ("/", "post"), ("/classify", "post"), ("/model", "get")):
            if path in content["paths"]:
                content["paths"][path][method]["security"] = [{"bearer": []}, {"key": []}]
    return content


def _schemas(settings: Settings, bundle: Bundle | None) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    models = (PredictRequest, PredictResponse, ErrorBody, HuggingFaceRequest, InfinityRequest, InfinityResponse, Score)
    for model in models:
        schema = model.model_json_schema(ref_template=_REFERENCE)
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    request = schemas["PredictRequest"]
    fields = request["properties"]
    described = {name: {"description": field["description"]} for name, field in fields.items()}
    text = {"type": "string", "minLength": 1, "maxLength": settings.max_characters, "pattern": _VISIBLE}
    fields["text"] = text | described["text"]
    for turns in _turn_lists(fields["context"]):
        for form in turns["items"]["anyOf"]:
            (form if form["type"] == "string" else form["properties"]["text"]).update(text)
    fields["context"]["anyOf"][1]["maxItems"] = settings.max_texts
    many = {"type": "array", "items": {}, "minItems": 1, "maxItems": settings.max_texts}
    fields["texts"] = many | described["texts"]
    _limit(schemas["HuggingFaceRequest"]["properties"]["inputs"], text, settings)
    _limit(schemas["InfinityRequest"]["properties"]["input"], text, settings)
    if bundle is not None and bundle.readout is not None:
        for name in (*MADE_FOR_LABELS, "context"):
            del fields[name]
        fields["long_texts"] = _or_null({"enum": ["head_tail"]}) | described["long_texts"]
        fields["profile"] = _or_null({"enum": list(bundle.profile_names)}) | described["profile"]
    elif bundle is not None:
        schemas["HuggingFaceParameters"]["properties"]["function_to_apply"]["anyOf"][0]["enum"] = [
            bundle.calibration.activation
        ]
        labels = {"type": "object", "propertyNames": {"enum": list(bundle.manifest.labels)}}
        labels["additionalProperties"] = {"type": "number", "minimum": 0, "maximum": 1}
        fields["thresholds"] = _or_null(labels) | described["thresholds"]
        fields["profile"] = _or_null({"enum": list(bundle.profile_names)}) | described["profile"]
        fields["policy"] = _or_null({"enum": list(bundle.policies.values)}) | described["policy"]
        fields["taxonomy"] = _or_null({"enum": list(taxonomies_for(bundle.label_set))}) | described["taxonomy"]
    return schemas


def _turn_lists(field: dict[str, Any]) -> list[dict[str, Any]]:
    """The lists of turns in the schema of `context`: that of one text, and those of several."""
    of_one, of_many, _null = field["anyOf"]
    return [of_one, of_many["items"]["anyOf"][0]]


def _limit(field: dict[str, Any], text: dict[str, Any], settings: Settings) -> None:
    """Write the limits of the settings into a field that is a text, or a list of texts or of lists with one each."""
    for form in field["anyOf"]:
        if form["type"] == "string":
            form.update(text)
        else:
            form.update(minItems=1, maxItems=settings.max_texts)
            items = form["items"]
            (items if items["type"] == "string" else items["items"]).update(text)


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _predict(settings: Settings, *, graded: bool) -> dict[str, Any]:
    example = {"texts": _EXAMPLE["texts"]} if graded else _EXAMPLE
    return {
        "summary": "Emotions of one or more texts.",
        "operationId": "predict",
        "description": f"The header `X-Request-Timeout-Ms` (1 to {settings.deadline_ms}) sets a deadline of one's own.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _reference("PredictRequest"), "example": example}},
        },
        "responses": {
            "200": _json_response("One result a text, in order.", "PredictResponse"),
            **_errors(*_ERRORS),
        },
    }


def _post(summary: str, operation: str, request: str, response: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": summary,
        "operationId": operation,
        "requestBody": {"required": True, "content": {"application/json": {"schema": _reference(request)}}},
        "responses": {
            "200": {"description": "Every label.", "content": {"application/json": {"schema": response}}},
            **_errors(*_ERRORS),
        },
    }


def _list_of(model: str) -> dict[str, Any]:
    return {"type": "array", "items": _reference(model)}


def _get(summary: str, *statuses: int, plain: bool = False) -> dict[str, Any]:
    content: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
    if not plain:
        content = {"application/json": {"schema": {"type": "object"}}}
    errors = _errors(*(status for status in statuses if status != 200))
    return {"summary": summary, "responses": {"200": {"description": summary, "content": content}, **errors}}


def _errors(*statuses: int) -> dict[str, Any]:
    return {str(status): _json_response(_ERRORS[status], "ErrorBody") for status in statuses}


def _json_response(description: str, model: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _reference(model)}}}


def _reference(model: str) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model)}
