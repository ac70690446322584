"""What a peer is given to serve."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.peers.launch import infinity
from shared.weights import INDEX, LAYER_WEIGHTS, SHARED_WEIGHTS, WEIGHTS

TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


@pytest.mark.parametrize("weights", [(WEIGHTS,), (INDEX, SHARED_WEIGHTS, LAYER_WEIGHTS)])
def test_infinity_is_given_all_files_of_the_weights(weights: tuple[str, ...], tmp_path: Path) -> None:
    bundle, folder = tmp_path / "bundle", tmp_path / "checkpoint"
    bundle.mkdir()
    folder.mkdir()
    for name in (*weights, *TOKENIZER, "bundle.json"):
        (bundle / name).write_text(name)
    (bundle / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["MeanPooling"]}))
    infinity("python", bundle, folder)
    linked = {path.name: path.read_text() for path in folder.iterdir() if path.name != "config.json"}
    assert linked == {name: name for name in (*weights, *TOKENIZER)}
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["BertForSequenceClassification"]
