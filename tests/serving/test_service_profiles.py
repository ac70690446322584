"""A bundle in service is adapted, and its child takes over: nobody loses a request, and its profile answers."""

from __future__ import annotations

import httpx
import numpy as np
import pandas as pd
import pytest

import emotion_classifiers as ec
from shared.bundle import Bundle
from shared.drift import FEWEST_TEXTS
from tests.helpers import WORDS
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import metric, serving
from tests.serving.test_service_life import Crowd, link_to, until

pytestmark = pytest.mark.slow

LABELS = ("joy", "sadness", "anger", "neutral")


def rows(model: ec.Model, count: int = 150) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(WORDS, 12)) for _ in range(count)]
    truth = draw.random((count, 4)) < model.predict_proba(texts) ** 3
    return pd.DataFrame({"text": texts} | {name: truth[:, i].astype(int) for i, name in enumerate(LABELS)})


def test_a_child_takes_over_without_losing_a_request_and_its_profile_answers(tmp_path):
    parent = stand_in_bundle(tmp_path / "parent", labels=LABELS)
    model, link = ec.load(parent, threads=1), tmp_path / "latest"
    frame = rows(model)
    texts = frame["text"].tolist()
    link_to(link, parent)
    with serving(tmp_path / "server", link, watch_s=0.2) as server, httpx.Client(base_url=server.url) as client:
        with Crowd(server) as crowd:
            until(lambda: crowd.models[Bundle.read(parent).seal] > 20)
            child = model.adapt(frame, output=str(tmp_path / "child"), profile="tweets", threads=1)
            link_to(link, child.path)
            until(lambda: crowd.models[child.predictor.bundle.seal] > 20)
        assert set(crowd.statuses) == {"200"}
        described = client.get("/model").json()
        assert list(described["profiles"]) == ["default", "tweets"]
        assert described["profiles"]["tweets"]["about"]["rows"] == 150
        for profile in ("default", "tweets"):
            body = {"texts": texts[:20], "profile": profile, "probabilities": True}
            answer = client.post("/predict", json=body).json()
            assert answer["profile"] == profile
            got = [list(result["probabilities"].values()) for result in answer["results"]]
            np.testing.assert_allclose(got, child.predict_proba(texts[:20], profile=profile), atol=2e-6)
            labels = [tuple(entry["label"] for entry in result["labels"]) for result in answer["results"]]
            assert labels == [each.labels for each in child.predict(texts[:20], profile=profile)]
        assert client.post("/predict", json={"text": "a"}).json()["profile"] == "default"
        refused = client.post("/predict", json={"text": "a", "profile": "zebracrossing"})
        assert refused.status_code == 422
        assert "Allowed: default, tweets" in refused.text
        assert "zebracrossing" not in refused.text
        enum = client.get("/docs.json").json()["components"]["schemas"]["PredictRequest"]["properties"]["profile"]
        assert enum["anyOf"][0]["enum"] == ["default", "tweets"]


def test_the_drift_gauge_names_the_profile_that_texts_are_nearest_to(tmp_path):
    model = ec.load(stand_in_bundle(tmp_path / "parent", labels=LABELS), threads=1)
    frame = rows(model, 300)
    child = model.adapt(frame, output=str(tmp_path / "child"), profile="tweets", threads=1)
    with (
        serving(tmp_path / "server", child.path) as server, httpx.Client(base_url=server.url) as client,
        ec.Client(server.url) as ours,
    ):  # fmt: skip
        assert client.get("/model").json()["drift"] is None
        ours.predict(rows(model, FEWEST_TEXTS)["text"], profile="tweets")
        found = client.get("/model").json()["drift"]
        assert (found["nearest_profile"], found["advice"]) == ("tweets", None)
        assert found["psi"]["tweets"] < 0.1 < found["psi"]["default"]
        assert metric(server.url, "emotion_drift_nearest_profile", {"profile": "tweets"}) == 1
        assert metric(server.url, "emotion_drift_nearest_profile", {"profile": "none"}) == 0
        ours.predict(["sad " * 40] * 1500)
        found = client.get("/model").json()["drift"]
        assert found["nearest_profile"] is None
        assert "adapt the bundle to them" in found["advice"]
        assert metric(server.url, "emotion_drift_nearest_profile", {"profile": "none"}) == 1
