"""Training with averaged weights: what is measured, what is kept, and that a resumed run equals the unbroken one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import set_seed

from shared.modeling.classifier import build_classifier
from tests.training.rows import LABELS, tiny_rows
from training.config import Config, EvalConfig, OptimConfig, RunConfig, TuningConfig
from training.loop.progress import StopRequest
from training.loop.train import build_trainer, train
from training.loop.trainer import EmotionTrainer
from training.model.tuning import apply_tuning
from training.optim.ema import EMA_FILE
from training.runtime.resources import Precision
from training.runtime.run_folder import RunFolder

FP32 = Precision("fp32", "test")
CONFIG = Config(
    run=RunConfig(keep_checkpoints=9, log_every_steps=1, save_every_steps=2),
    optim=OptimConfig(head_lr=None, epochs=2, lr=1e-2, batch_size=12, ema_decay=0.8),
    eval=EvalConfig(patience=None),
)


def trainer_for(tiny_model: Path, path: Path, config: Config = CONFIG) -> EmotionTrainer:
    set_seed(0)
    folder = RunFolder(path)
    folder.logs.mkdir(parents=True, exist_ok=True)
    model = apply_tuning(build_classifier(tiny_model, labels=LABELS, pooling="mean"), config.tuning)
    return build_trainer(model, tiny_rows(config, tiny_model), config, folder, precision=FP32, request=StopRequest())


def weights_of(trainer: EmotionTrainer) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}


def test_the_average_is_evaluated_and_the_weights_are_left_alone(tiny_model, tmp_path):
    trainer = trainer_for(tiny_model, tmp_path)
    trainer.train()
    for seed in range(3):
        torch.manual_seed(seed)
        with torch.no_grad():
            for weight in trainer.model.parameters():
                weight.add_(torch.randn_like(weight))
    before = weights_of(trainer)
    measured = trainer.evaluate()["eval_loss"]
    assert all(torch.equal(weight, before[name]) for name, weight in weights_of(trainer).items())
    trainer.ema.copy_to_model()
    trainer.ema = None
    assert trainer.evaluate()["eval_loss"] == pytest.approx(measured, rel=1e-6)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_model_ends_with_the_average_of_the_best_checkpoint(tiny_model, tmp_path, method):
    trainer = trainer_for(tiny_model, tmp_path, replace(CONFIG, tuning=TuningConfig(method=method)))
    trainer.train()
    averages = load_file(Path(trainer.state.best_model_checkpoint) / EMA_FILE)
    trained = {name: weight for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    assert trained.keys() == averages.keys()
    for name, weight in trained.items():
        assert torch.equal(weight, averages[name])


def test_a_checkpoint_holds_the_trained_weights_beside_their_average(tiny_model, tmp_path):
    trainer_for(tiny_model, tmp_path).train()
    checkpoint = tmp_path / "checkpoints" / "checkpoint-8"
    averages, raw = load_file(checkpoint / EMA_FILE), load_file(checkpoint / "model.safetensors")
    assert averages.keys() == raw.keys()
    assert sum(not torch.equal(averages[name], raw[name]) for name in averages) > len(raw) / 2


@pytest.mark.parametrize("stop", [2, 4, 6])
def test_a_resumed_run_equals_the_unbroken_one(tiny_model, tmp_path, stop):
    unbroken = trainer_for(tiny_model, tmp_path / "unbroken")
    unbroken.train()
    checkpoint = tmp_path / "unbroken" / "checkpoints" / f"checkpoint-{stop}"
    resumed = trainer_for(tiny_model, tmp_path / "resumed")
    resumed.train(resume_from_checkpoint=str(checkpoint))
    for name, weight in weights_of(unbroken).items():
        assert torch.equal(weight, weights_of(resumed)[name])
    losses = [[e["loss"] for e in t.state.log_history if "loss" in e] for t in (unbroken, resumed)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 8


def test_a_decay_near_zero_is_training_without_average(tiny_model, tmp_path):
    def score(path: str, decay: float | None) -> float:
        config = replace(CONFIG, optim=replace(CONFIG.optim, ema_decay=decay))
        set_seed(0)
        model = build_classifier(tiny_model, labels=LABELS, pooling="mean")
        folder = RunFolder(tmp_path / path)
        folder.logs.mkdir(parents=True)
        return train(model, tiny_rows(config, tiny_model), config, folder, precision=FP32).history[-2]["eval_loss"]

    assert score("near zero", 1e-9) == pytest.approx(score("without", None), rel=1e-5)
