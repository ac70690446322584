"""The OpenAPI document of the service, made from the schemas it validates with, and the page that shows it."""

from __future__ import annotations

from typing import Any

from serving.schemas import ErrorBody, PredictRequest, PredictResponse
from serving.settings import Settings

_REFERENCE = "#/components/schemas/{model}"
_ERRORS = {
    400: "The body is not JSON.",
    401: "The API key is missing or wrong.",
    413: "The body is too large.",
    422: "A field is missing, unknown or has a value that is not allowed.",
    429: "Overloaded; `Retry-After` says when to try again.",
    503: "Not ready: starting, shutting down, or the model failed.",
    504: "The deadline passed.",
}
_EXAMPLE = {"texts": ["I passed the exam!", "I miss her so much."], "policy": "f1", "probabilities": True}

DOCS_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Emotion service: interface</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="./static_content/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="./static_content/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "./docs.json", dom_id: "#swagger-ui", validatorUrl: null});</script>
</body></html>
"""
"""Swagger UI from the files that BentoML carries: no other host is asked."""


def document(settings: Settings) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    keys = bool(settings.api_keys.get_secret_value()) or settings.api_key_file is not None
    content: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Emotion service",
            "version": "1",
            "description": "Calibrated multi-label emotion probabilities of English text.",
        },
        "servers": [{"url": "."}],
        "paths": {
            "/predict": {"post": _predict(settings)},
            "/model": {"get": _get("The bundle in service.", 200, 401, 503)},
            "/livez": {"get": _get("Whether the process lives.", 200, plain=True)},
            "/readyz": {"get": _get("Whether requests are answered.", 200, 503, plain=True)},
            "/metrics": {"get": _get("Metrics in Prometheus' text format.", 200, plain=True)},
        },
        "components": {"schemas": _schemas(settings)},
    }
    if keys:
        content["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        for path, method in (("/predict", "post"), ("/model", "get")):
            content["paths"][path][method]["security"] = [{"bearer": []}, {"key": []}]
    return content


def _schemas(settings: Settings) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for model in (PredictRequest, PredictResponse, ErrorBody):
        schema = model.model_json_schema(ref_template=_REFERENCE)
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    request = schemas["PredictRequest"]
    request["properties"]["text"] |= {"type": "string", "minLength": 1, "maxLength": settings.max_characters}
    request["properties"]["text"].pop("default", None)
    request["properties"]["texts"] = {
        "type": "array",
        "items": {},
        "minItems": 1,
        "maxItems": settings.max_texts,
        "description": request["properties"]["texts"]["description"],
    }
    request["oneOf"] = [{"required": ["texts"]}, {"required": ["text"]}]
    return schemas


def _predict(settings: Settings) -> dict[str, Any]:
    return {
        "summary": "Emotions of one or more texts.",
        "operationId": "predict",
        "parameters": [
            {
                "name": "X-Request-Timeout-Ms",
                "in": "header",
                "required": False,
                "description": "Deadline of this request, in ms.",
                "schema": {"type": "integer", "minimum": 1, "maximum": settings.deadline_ms},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _reference("PredictRequest"), "example": _EXAMPLE}},
        },
        "responses": {
            "200": _json_response("One result a text, in order.", "PredictResponse"),
            **_errors(*_ERRORS),
        },
    }


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
