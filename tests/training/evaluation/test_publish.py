"""The bundle: whole or not there, and only of the model that was evaluated."""

import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from transformers import set_seed

from shared.calibration import Calibration
from shared.errors import BundleFormatError, ModelError
from shared.labels import LabelSet
from shared.modeling.classifier import load_classifier
from shared.thresholds import Policies
from tests.training.rows import LABELS, tiny_corpus
from training.config import Config, ModelConfig
from training.config.data import DataConfig
from training.evaluation import publish as bundle_writer
from training.evaluation.publish import Trained, publish
from training.evaluation.scoring import SplitPredictions
from training.model.classifier import build_model, build_tokenizer
from training.model.inference import predict_logits


@pytest.fixture
def config(tiny_model):
    return Config(model=ModelConfig(name=str(tiny_model)), data=DataConfig(max_length=16))


@pytest.fixture
def trained(config):
    set_seed(0)
    tokenizer = build_tokenizer(config)
    model = build_model(config, LABELS, np.full(3, 0.4))
    corpus = tiny_corpus(10, seed=0)
    rows = [row.ids for row in tokenizer.tokens.encode(corpus.texts)]
    split = SplitPredictions.of("dev", corpus, predict_logits(model, tokenizer.tokens, rows, batch_size=4))
    policies = Policies(LABELS, {"f1": np.full(3, 0.5)}, "dev")
    return Trained(model, tokenizer, Calibration.identity(3), policies, {"dev": {"macro_f1": 0.5}}, split)


def write(target, trained, config):
    data = SimpleNamespace(dev=tiny_corpus(10, seed=0), labels=LabelSet(LABELS))
    return publish(
        target,
        trained,
        config=config,
        data=data,
        pages={"README.md": "card", "training.yaml": "run: {}\n"},
        provenance={"seed": 1},
    )


def test_the_bundle_is_read_back_sealed(trained, config, tmp_path):
    bundle = write(tmp_path / "bundle", trained, config)
    assert (bundle.manifest.pooling, bundle.manifest.max_length, bundle.manifest.head_tokens) == ("cls", 16, 4)
    assert set(bundle.manifest.files) >= {"README.md", "model.safetensors", "reference.npz", "training.yaml"}
    assert bundle.reference().texts == tiny_corpus(10, seed=0).texts


def test_a_model_that_changes_on_disk_is_refused_and_nothing_is_left(trained, config, tmp_path):
    other = replace(trained.dev, logits=trained.dev.logits + np.float32(0.01))
    with pytest.raises(ModelError, match=r"differs from the trained one by 0.01 .* weights are the same .* no bundle"):
        write(tmp_path / "bundle", replace(trained, dev=other), config)
    assert list(tmp_path.iterdir()) == []


def test_a_weight_that_changes_on_disk_is_refused_by_its_name(trained, config, tmp_path, monkeypatch):
    def changed(folder):
        model = load_classifier(folder)
        with torch.no_grad():
            model.classifier.bias[0] += 1e-6
        return model

    monkeypatch.setattr(bundle_writer, "load_classifier", changed)
    with pytest.raises(ModelError, match=r"1 weights read back .* such as classifier\.bias, so no bundle was written"):
        write(tmp_path / "bundle", trained, config)
    assert list(tmp_path.iterdir()) == []


def test_parts_that_disagree_are_refused(trained, config, tmp_path):
    with pytest.raises(BundleFormatError, match="2 temperatures"):
        write(tmp_path / "bundle", replace(trained, calibration=Calibration.identity(2)), config)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "message",
    ["Error while serializing: IoError(Os { code: 28, kind: StorageFull })", "I/O error: No space left on device"],
)
def test_a_full_disk_is_an_os_error_and_leaves_nothing(trained, config, tmp_path, monkeypatch, message):
    def full(*_, **__):
        raise SafetensorError(message)

    monkeypatch.setattr(trained.model, "save_pretrained", full)
    with pytest.raises(OSError, match=os.strerror(28)):
        write(tmp_path / "bundle", trained, config)
    assert list(tmp_path.iterdir()) == []


def test_other_faults_of_writing_are_not_taken_for_a_full_disk(trained, config, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise SafetensorError("InvalidHeader")

    monkeypatch.setattr(trained.model, "save_pretrained", broken)
    with pytest.raises(SafetensorError, match="InvalidHeader"):
        write(tmp_path / "bundle", trained, config)


def test_the_weights_are_float32_and_the_path_of_the_base_is_not_told(trained, config, tmp_path, tiny_model):
    from safetensors.torch import load_file

    bundle = write(tmp_path / "bundle", trained, config)
    assert {weight.dtype for weight in load_file(bundle.path / "model.safetensors").values()} == {torch.float32}
    assert str(tiny_model) not in (bundle.path / "config.json").read_text()
