"""Checkpoints: what cannot be loaded is said in one line, and how long an input may be is asked of the weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer, pipeline

from shared.errors import ModelError, ModelNotFoundError
from shared.modeling.checkpoints import longest_input, weights_digest
from shared.modeling.classifier import build_classifier, load_classifier
from shared.modeling.tokenizer_files import load_tokenizer_json, save_tokenizer
from tests.helpers import tiny_checkpoint

LABELS = ("joy", "sadness", "neutral")


@pytest.fixture(scope="module")
def deberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("deberta"))


def test_model_that_cannot_be_reached_says_what_works_offline(tmp_path: Path) -> None:
    for name in ("microsoft/deberta-v3-nowhere", str(tmp_path / "nowhere"), tmp_path / "nowhere"):
        with pytest.raises(ModelNotFoundError, match=r"Without a network use 'starter' or a local folder") as raised:
            build_classifier(name, labels=LABELS, pooling="mean")
        assert "\n" not in str(raised.value)
        assert "nowhere" in str(raised.value)


def test_folder_without_configuration_or_weights_is_told(deberta: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"config\.json is missing"):
        build_classifier(tmp_path, labels=LABELS, pooling="mean")
    with pytest.raises(ModelNotFoundError, match=r"config\.json is missing"):
        load_classifier(tmp_path)
    (tmp_path / "config.json").write_bytes((deberta / "config.json").read_bytes())
    with pytest.raises(ModelError, match="cannot be loaded"):
        build_classifier(tmp_path, labels=LABELS, pooling="mean")
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_classifier(tmp_path)


@pytest.mark.parametrize("field", [{"num_hidden_layers": 3}, {"intermediate_size": 65}, {"model_type": "bert"}])
def test_weights_of_another_encoder_are_refused(field: dict[str, Any], deberta: Path, tmp_path: Path) -> None:
    config = json.loads((deberta / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | field))
    (tmp_path / "model.safetensors").write_bytes((deberta / "model.safetensors").read_bytes())
    for pooling in ("cls", "mean"):
        with pytest.raises(ModelError, match=r"are missing or of another size, such as |cannot be loaded: "):
            build_classifier(tmp_path, labels=LABELS, pooling=pooling)


def test_encoder_without_head_is_no_classifier(deberta: Path) -> None:
    with pytest.raises(ModelError, match="are not those of a DebertaV2ForSequenceClassification: 4 are missing"):
        load_classifier(deberta)


def test_model_that_is_no_encoder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5"}))
    with pytest.raises(ModelError, match="is a t5 model; an encoder such as DeBERTa or BERT is needed"):
        build_classifier(tmp_path, labels=LABELS, pooling="mean")


SIZES: dict[str, Any] = {
    "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48,
    "max_position_embeddings": 40,
}  # fmt: skip


@pytest.mark.parametrize(
    ("family", "pad", "longest"),
    [("bert", 0, 40), ("distilbert", 0, 40), ("electra", 0, 40), ("albert", 0, 40), ("roberta", 1, 38),
     ("xlm-roberta", 1, 38), ("mpnet", 1, 38), ("data2vec-text", 1, 38), ("nystromformer", 1, 40)],
)  # fmt: skip
def test_the_longest_input_runs_and_one_token_more_does_not(family: str, pad: int, longest: int) -> None:
    model = AutoModel.from_config(AutoConfig.for_model(family, pad_token_id=pad, **SIZES)).eval()
    assert longest_input(model) == longest
    with torch.no_grad():
        assert model(input_ids=torch.full((1, longest), 7)).last_hidden_state.shape[1] == longest
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, longest + 1), 7))


@pytest.mark.parametrize(
    "fields",
    [{"family": "xlnet", "d_model": 32, "n_head": 2}, {"family": "deberta-v2", "position_biased_input": False}],
)
def test_without_absolute_positions_there_is_no_limit(fields: dict[str, Any]) -> None:
    options = {name: value for name, value in fields.items() if name != "family"}
    sizes = {name: value for name, value in SIZES.items() if name != "max_position_embeddings"}
    model = AutoModel.from_config(AutoConfig.for_model(fields["family"], **sizes, **options)).eval()
    assert longest_input(model) is None


@pytest.mark.parametrize("family", ["distilbert", "mpnet", "bert", "deberta-v2"])
def test_a_pipeline_of_transformers_runs_on_what_is_saved(family: str, tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint", family=family)
    classifier = build_classifier(checkpoint, labels=LABELS, pooling="cls").eval()
    saved = tmp_path / "saved"
    classifier.save_pretrained(saved)
    save_tokenizer(load_tokenizer_json(checkpoint), saved, max_length=64)
    found = pipeline("text-classification", model=str(saved), top_k=None, device="cpu")("i am so happy today")
    scores = {entry["label"]: entry["score"] for entry in (found[0] if isinstance(found[0], list) else found)}
    inputs = AutoTokenizer.from_pretrained(saved)("i am so happy today", return_tensors="pt")
    assert set(inputs) == {"input_ids", "attention_mask"}
    with torch.no_grad():
        expected = torch.sigmoid(load_classifier(saved)(**inputs).logits[0]).tolist()
    assert scores == pytest.approx(dict(zip(LABELS, expected, strict=True)), abs=1e-5)


def test_weights_are_named_by_every_file_that_they_are_loaded_from(tmp_path: Path) -> None:
    def write(name: str, content: str) -> str:
        (tmp_path / name).write_text(content)
        return hashlib.sha256(content.encode()).hexdigest()

    assert weights_digest(tmp_path) is None
    assert write("pytorch_model.bin", "pickled") == weights_digest(tmp_path)
    parts = [write("model-1.safetensors", "body"), write("model-2.safetensors", "own last layer")]
    index = {"weight_map": {"b": "model-2.safetensors", "a": "model-1.safetensors", "c": "model-1.safetensors"}}
    write("model.safetensors.index.json", json.dumps(index))
    sharded = weights_digest(tmp_path)
    assert sharded == hashlib.sha256(" ".join(parts).encode()).hexdigest()
    write("model-2.safetensors", "another last layer")
    assert weights_digest(tmp_path) not in (sharded, None)
    (tmp_path / "model-1.safetensors").unlink()
    assert weights_digest(tmp_path) is None
    assert write("model.safetensors", "whole") == weights_digest(tmp_path)
