"""Two client generators read the OpenAPI document of the real service: their requests are typed and answered."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import httpx
import pytest

from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import serving

pytestmark = pytest.mark.slow

TEXTS = ["i am happy", "the dog won !"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    with serving(folder / "server", stand_in_bundle(folder / "bundle")) as running:
        yield running


@pytest.fixture(scope="module")
def document(server, tmp_path_factory):
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_bytes(httpx.get(f"{server.url}/docs.json", timeout=10).content)
    return path


@pytest.fixture
def generate(tmp_path, monkeypatch):
    """Runs a generator and imports what it wrote to `tmp_path`."""
    monkeypatch.syspath_prepend(tmp_path)
    # a generator looks for its formatter on the path
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"  # noqa: PTH120

    def run(module: str, *arguments: object, writes: str):
        command = [sys.executable, "-W", "ignore", "-m", module, *map(str, arguments)]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "PATH": path}
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        importlib.invalidate_caches()
        return importlib.import_module(writes)

    return run


def test_the_client_of_openapi_python_client_is_typed_and_answered(server, document, tmp_path, generate):
    pytest.importorskip("openapi_python_client")
    package = generate(
        "openapi_python_client", "generate", "--path", document, "--output-path", tmp_path / "emotion_client",
        "--meta", "none", writes="emotion_client",
    )  # fmt: skip
    models = importlib.import_module("emotion_client.models")
    predict = importlib.import_module("emotion_client.api.default.predict")
    fields = models.PredictRequest.__annotations__
    assert predict.sync.__annotations__["body"] is models.PredictRequest
    assert (fields["text"], fields["top_k"], fields["probabilities"]) == (
        "str | Unset", "int | None | Unset", "bool | Unset",
    )  # fmt: skip
    half = models.PredictRequestPolicyType0("half")
    with package.Client(base_url=server.url, raise_on_unexpected_status=True) as client:
        answer = predict.sync(client=client, body=models.PredictRequest(texts=TEXTS, policy=half, top_k=3))
        refused = predict.sync_detailed(client=client, body=models.PredictRequest(text=" "))
    assert isinstance(answer, models.PredictResponse)
    assert [len(result.labels) for result in answer.results] == [3, 3]
    plain = httpx.post(f"{server.url}/predict", json={"texts": TEXTS, "policy": "half", "top_k": 3}, timeout=10)
    assert answer.to_dict() == plain.json()
    assert (refused.status_code, refused.parsed.error) == (422, "invalid_input")


def test_the_models_of_datamodel_code_generator_are_typed_and_answered(server, document, tmp_path, generate):
    pytest.importorskip("datamodel_code_generator")
    models = generate(
        "datamodel_code_generator", "--input", document, "--input-file-type", "openapi", "--output-model-type",
        "pydantic_v2.BaseModel", "--formatters", "builtin", "--output", tmp_path / "emotion_models.py",
        writes="emotion_models",
    )  # fmt: skip
    for wrong in ({"text": 1}, {"text": "a", "top_k": 0}, {"text": "a", "thresholds": {"joy": 2}}, {"words": "a"}):
        with pytest.raises(ValueError, match="1 validation error for PredictRequest"):
            models.PredictRequest(**wrong)
    request = models.PredictRequest(texts=TEXTS, policy="half", thresholds={"joy": 0.1}, probabilities=True)
    body = request.model_dump_json(exclude_unset=True)
    answer = httpx.post(f"{server.url}/predict", content=body, timeout=10)
    assert answer.status_code == 200
    found = models.PredictResponse.model_validate_json(answer.content)
    assert [len(result.probabilities) for result in found.results] == [28, 28]
    assert found.model_dump(exclude_unset=True) == answer.json()
