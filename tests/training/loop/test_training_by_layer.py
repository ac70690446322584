"""Options by layer and schedule inside a real training: what moves, and that resumed runs equal unbroken ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback, set_seed

from shared.modeling.classifier import build_classifier
from tests.training.rows import LABELS, tiny_rows
from training.config import Config, EvalConfig, OptimConfig, RunConfig, TuningConfig
from training.loop.train import build_trainer
from training.loop.trainer import EmotionTrainer
from training.model.layers import find_depths
from training.model.tuning import apply_tuning
from training.runtime.resources import Precision
from training.runtime.run_folder import RunFolder

CONFIG = Config(
    run=RunConfig(keep_checkpoints=9, log_every_steps=1),
    optim=OptimConfig(head_lr=None, epochs=3, lr=1e-2, batch_size=12, schedule="constant", warmup_ratio=0.0),
    eval=EvalConfig(patience=None),
)


class Watch(TrainerCallback):
    """Notes the depths that moved in every step, and the learning rate."""

    def __init__(self, model) -> None:
        self.model, self.depths = model, find_depths(model)
        self.moved: list[set[int]] = []

    def on_step_begin(self, *_, **__):
        self.before = [weight.detach().clone() for weight in self.model.parameters()]

    def on_optimizer_step(self, *_, **__):
        pairs = zip(self.model.parameters(), self.before, strict=True)
        self.moved.append({self.depths.of(weight) for weight, old in pairs if not torch.equal(weight, old)})


def trainer_for(tiny_model: Path, path: Path, config: Config) -> tuple[EmotionTrainer, Watch]:
    set_seed(0)
    folder = RunFolder(path)
    folder.logs.mkdir(parents=True, exist_ok=True)
    model = apply_tuning(build_classifier(tiny_model, labels=LABELS, pooling="cls"), config.tuning)
    rows = tiny_rows(config, tiny_model)
    trainer = build_trainer(model, rows, config, folder, precision=Precision("fp32", "test"))
    watch = Watch(model)
    trainer.add_callback(watch)
    return trainer, watch


def test_progressive_unfreezing_moves_the_head_then_layers_then_embeddings(tiny_model, tmp_path):
    tuning = TuningConfig(method="progressive", top_layers=0, unfreeze_every=0.5)
    trainer, watch = trainer_for(tiny_model, tmp_path, replace(CONFIG, tuning=tuning))
    trainer.train()
    head, top, all_layers, everything = {3}, {2, 3}, {1, 2, 3}, {0, 1, 2, 3}
    assert watch.moved == [head] * 2 + [top] * 2 + [all_layers] * 2 + [everything] * 6


def test_partial_tuning_moves_the_top_alone(tiny_model, tmp_path):
    tuning = TuningConfig(method="partial", top_layers=1)
    trainer, watch = trainer_for(tiny_model, tmp_path, replace(CONFIG, tuning=tuning))
    trainer.train()
    assert watch.moved == [{2, 3}] * 12


OPTIONS = {
    "progressive": {"tuning": TuningConfig(method="progressive", top_layers=0, unfreeze_every=0.75)},
    "unfreezing on plateau": {
        "tuning": TuningConfig(method="progressive", top_layers=0, unfreeze="plateau"),
        "optim": replace(CONFIG.optim, lr=1e-5),  # too small to make progress
    },
    "plateau": {"optim": replace(CONFIG.optim, schedule="plateau", lr=1e-6, plateau_factor=0.1)},
    **{name: {"optim": replace(CONFIG.optim, optimizer=name)} for name in ("sgd", "adam", "rmsprop", "adafactor")},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_resumed_run_equals_the_unbroken_one(tiny_model, tmp_path, name):
    config = replace(CONFIG, **OPTIONS[name])
    unbroken, seen = trainer_for(tiny_model, tmp_path / "unbroken", config)
    unbroken.train()
    resumed, seen_later = trainer_for(tiny_model, tmp_path / "resumed", config)
    resumed.train(resume_from_checkpoint=str(tmp_path / "unbroken" / "checkpoints" / "checkpoint-8"))
    assert seen_later.moved == seen.moved[8:]
    columns = ("loss", "learning_rate", "grad_norm")
    logged = [[[e[c] for c in columns] for e in t.state.log_history if "loss" in e] for t in (unbroken, resumed)]
    assert logged[0] == logged[1]
    if "plateau" in name:
        assert seen.moved[0] != seen.moved[-1] or logged[0][0][1] > logged[0][-1][1]  # something happened


def test_penalties_are_in_the_training_loss_and_not_in_the_measured_one(tiny_model, tmp_path):
    plain, _ = trainer_for(tiny_model, tmp_path / "plain", CONFIG)
    heavy, _ = trainer_for(tiny_model, tmp_path / "heavy", replace(CONFIG, optim=replace(CONFIG.optim, l2=0.1)))
    batch = next(iter(plain.get_eval_dataloader()))
    for trainer in (plain, heavy):
        trainer.model.eval()
    assert plain.compute_loss(plain.model, batch).item() == heavy.compute_loss(heavy.model, batch).item()
    heavy.model.train()
    assert heavy.compute_loss(heavy.model, batch).item() > plain.compute_loss(plain.model, batch).item() + 1
