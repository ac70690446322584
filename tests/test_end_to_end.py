"""The whole way by its commands: train, export, verify, predict, serve; and a bundle that was touched is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import httpx
import numpy as np
import pytest
import torch

from serving import export
from shared.bundle import Bundle
from shared.modeling.classifier import load_classifier
from tests.serving.servers import ROOT, environment, serve_and_fail, serving
from tests.training.conftest import run_arguments
from tests.training.rows import write_table
from training import run

pytestmark = pytest.mark.slow
TEXTS = ["i feel so happy today", "they felt angry at work and so very afraid", "we feel at home"]


@pytest.fixture(scope="module")
def trained(tiny_model, tmp_path_factory):
    """The bundle of a run over 300 rows, exported; whatever is wrong with it is what the commands did."""
    folder = tmp_path_factory.mktemp("whole_way")
    table = write_table(folder / "table.jsonl", rows=300)
    assert run.main([*run_arguments(tiny_model, table, folder / "runs"), "--optim.epochs=3"]) == 0
    bundle = folder / "runs" / "latest" / "bundle"
    export.main([str(bundle), "--precision", "fp32", "--threads", "1"])
    return bundle


def command(folder, module, *arguments, code=0):
    """What a command wrote; it must end with `code`."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT, env=environment(folder), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_model_command_and_service_say_the_same(trained, tmp_path):
    bundle = Bundle.read(trained)
    batch = bundle.tokenizer().pad(bundle.tokenizer().encode(TEXTS))
    with torch.no_grad():
        logits = load_classifier(trained)(**{name: torch.from_numpy(array) for name, array in batch.items()}).logits
    expected = bundle.calibration.apply(logits.numpy())

    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    command(
        tmp_path, "serving.predict", trained, "--input", tmp_path / "texts.jsonl", "--output", tmp_path / "out.jsonl"
    )
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    with serving(tmp_path / "server", trained) as server:
        body = {"texts": TEXTS, "probabilities": True}
        results = httpx.post(f"{server.url}/predict", json=body, timeout=30).json()["results"]

    labels = bundle.manifest.labels
    predicted = [[row[f"p_{label}"] for label in labels] for row in rows]
    served = [[result["probabilities"][label] for label in labels] for result in results]
    np.testing.assert_allclose(predicted, expected, atol=1e-4)
    np.testing.assert_allclose(served, expected, atol=1e-4)


def test_an_exported_bundle_verifies_until_a_threshold_is_edited(trained, tmp_path):
    assert "fp32: passed" in command(tmp_path, "serving.verify", trained)
    thresholds = trained / "thresholds.json"
    sealed = thresholds.read_text()
    thresholds.write_text(sealed.replace('"half": {', '"half": { ', 1))
    try:
        refused = command(tmp_path, "serving.verify", trained, code=2)
        code, log = serve_and_fail(tmp_path, trained)
    finally:
        thresholds.write_text(sealed)
    assert code == 2
    for output in (refused, log):
        assert re.search(r"error: thresholds\.json in .* changed after the bundle was sealed", output)
