"""From a trained model to an answer over HTTP: the service says what the trained model said of the reference rows."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from serving.export import export_bundle
from shared.bundle import Bundle
from tests.serving.exportable import exportable_bundle
from tests.serving.servers import serving

pytestmark = pytest.mark.slow


def test_the_service_answers_what_the_trained_model_said(tmp_path):
    bundle = Bundle.read(exportable_bundle(tmp_path / "bundle"))
    export_bundle(bundle, ["fp32"], threads=1)
    reference = bundle.reference()
    expected = bundle.calibration.apply(reference.logits)
    with serving(tmp_path / "server", bundle.path) as server:
        body = {"texts": reference.texts, "probabilities": True}
        answer = httpx.post(f"{server.url}/predict", json=body, timeout=30).json()
        model = httpx.get(f"{server.url}/model", timeout=10).json()
    got = [[result["probabilities"][label] for label in model["labels"]] for result in answer["results"]]
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert answer["model"] == bundle.seal
    assert model["precision"] == "fp32"
    assert model["taxonomies"] == {"labels": {name: [name] for name in bundle.manifest.labels}}
