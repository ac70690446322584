"""How a run knows that its weights are split, and what it does otherwise then."""

import pytest
import torch
from torch import nn

from shared.errors import ConfigError
from shared.modeling.classifier import build_classifier
from tests.training.rows import LABELS, tiny_rows
from training.callbacks.monitors import GradientWatch, Watch
from training.config import Config, OptimConfig, WatchConfig
from training.loop.train import build_trainer
from training.optim.optimizer import build_optimizer
from training.runtime.processes import sharding
from training.runtime.resources import Precision
from training.runtime.run_folder import RunFolder


@pytest.mark.parametrize(
    ("variable", "value", "kind"),
    [
        ("ACCELERATE_USE_FSDP", "true", "FSDP"),
        ("ACCELERATE_USE_FSDP", "false", None),
        ("ACCELERATE_USE_DEEPSPEED", "true", "DeepSpeed"),
        ("ACCELERATE_USE_DEEPSPEED", "", None),
    ],
)
def test_the_launcher_tells(monkeypatch, variable, value, kind):
    monkeypatch.setenv(variable, value)
    assert sharding() == kind


def test_a_run_that_would_silently_not_be_sharded_is_refused(tiny_model, tmp_path, monkeypatch):
    for name, value in {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}.items():
        monkeypatch.setenv(name, value)
    config, folder = Config(optim=OptimConfig(batch_size=12)), RunFolder(tmp_path)
    folder.logs.mkdir(parents=True)
    model = build_classifier(tiny_model, labels=LABELS, pooling="mean")
    with pytest.raises(ConfigError, match="FSDP was launched, and accelerate does not start it without a GPU"):
        build_trainer(model, tiny_rows(config, tiny_model), config, folder, precision=Precision("fp32", "test"))
    assert model._no_split_modules == ["DebertaV2Layer"]


def test_gradients_in_pieces_are_not_looked_at(tmp_path):
    watch = Watch(WatchConfig(trackers=[]), nn.Linear(2, 2), tmp_path, parameters={}, samples_per_step=1, sharded=True)
    assert not any(isinstance(callback, GradientWatch) for callback in watch.callbacks)
    assert not [name for name in watch.metrics() if name.startswith("grad_norm/")]


def test_sgd_of_shards_is_not_fused_and_gives_the_same_numbers(tiny_model, monkeypatch):
    config, updated = OptimConfig(head_lr=None, optimizer="sgd", lr=0.1), []
    for fsdp in ("false", "true"):
        monkeypatch.setenv("ACCELERATE_USE_FSDP", fsdp)
        torch.manual_seed(0)
        model = build_classifier(tiny_model, labels=LABELS, pooling="mean")
        optimizer = build_optimizer(model, config)
        assert optimizer.defaults["fused"] == (fsdp == "false")
        for weight in model.parameters():
            weight.grad = torch.ones_like(weight)
        optimizer.step()
        updated.append([weight.detach().clone() for weight in model.parameters()])
    assert all(torch.allclose(*pair, atol=1e-7) for pair in zip(*updated, strict=True))
