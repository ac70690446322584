"""The OpenAPI document: what a client generator needs to make typed requests."""

from __future__ import annotations

import pytest

from serving.http.openapi import document
from serving.settings import Settings
from shared.bundle import Bundle
from tests.serving.bundles import stand_in_bundle


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> dict:
    return document(Settings(), Bundle.read(stand_in_bundle(tmp_path_factory.mktemp("document") / "bundle")))


@pytest.mark.parametrize(
    ("path", "schema"), [("/predict", "PredictRequest"), ("/", "HuggingFaceRequest"), ("/classify", "InfinityRequest")]
)
def test_every_way_to_predict_has_a_request_with_a_name_and_fields(content, path, schema):
    operation = content["paths"][path]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": f"#/components/schemas/{schema}"}
    named = content["components"]["schemas"][schema]
    assert named["type"] == "object"
    assert not {"oneOf", "anyOf", "allOf"} & set(named)  # generators make a union of untyped classes of those
    assert {"200", "400", "401", "413", "415", "422", "429", "503", "504"} <= set(operation["responses"])


def test_every_reference_leads_somewhere(content):
    def references(value):
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    found = set(references(content))
    assert {reference.removeprefix("#/components/schemas/") for reference in found} <= set(
        content["components"]["schemas"]
    )
    assert len(found) >= 8


def test_limits_and_names_are_those_of_the_service(content):
    schemas = content["components"]["schemas"]
    inputs = schemas["HuggingFaceRequest"]["properties"]["inputs"]["anyOf"]
    assert [form.get("maxItems", form.get("maxLength")) for form in inputs] == [20_000, 256, 256]
    assert schemas["HuggingFaceParameters"]["properties"]["function_to_apply"]["anyOf"][0]["enum"] == ["sigmoid"]
    assert schemas["PredictRequest"]["properties"]["policy"]["anyOf"][0]["enum"] == ["f1", "half"]
