"""What watching adds to a run, and how it ends one whose numbers are no longer finite."""

import json
from dataclasses import replace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from transformers import TrainerCallback, set_seed

from shared.errors import ConfigError, TrainingError
from shared.modeling.classifier import build_classifier
from tests.training.rows import LABELS, tiny_rows
from training.callbacks import trackers
from training.callbacks.monitors import SpeedWatch, check_finite, memory_bytes, weight_groups
from training.config import Config, EvalConfig, OptimConfig, RunConfig, TuningConfig, WatchConfig
from training.evaluation import plots
from training.loop.train import build_trainer
from training.model.tuning import apply_tuning
from training.runtime.resources import Precision
from training.runtime.run_folder import RunFolder

CONFIG = Config(
    run=RunConfig(log_every_steps=1),
    optim=OptimConfig(head_lr=None, epochs=1, lr=1e-3, batch_size=12),
    eval=EvalConfig(patience=None),
    watch=WatchConfig(trackers=[]),
)


def trainer_of(tiny_model, path, config=CONFIG, *, callbacks=(), loss=None):
    set_seed(0)
    folder = RunFolder(path)
    folder.logs.mkdir(parents=True, exist_ok=True)
    model = apply_tuning(build_classifier(tiny_model, labels=LABELS, pooling="mean"), config.tuning)
    rows = tiny_rows(config, tiny_model)
    trainer = build_trainer(
        model, replace(rows, loss=loss or rows.loss), config, folder, precision=Precision("fp32", "test")
    )
    for callback in callbacks:
        trainer.add_callback(callback)
    return trainer


class Norms(TrainerCallback):
    """The norm of the whole gradient as the optimiser sees it."""

    def __init__(self):
        self.found = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **_):
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        self.found.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))


def test_norms_of_the_parts_add_up_to_that_of_the_whole_and_are_logged(tiny_model, tmp_path):
    norms = Norms()
    trainer = trainer_of(tiny_model, tmp_path, callbacks=[norms])
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    parts = ("embeddings", "layer_0", "layer_1", "head")
    for entry, whole in zip(entries, norms.found, strict=True):
        assert sum(entry[f"grad_norm/{part}"] ** 2 for part in parts) ** 0.5 == pytest.approx(whole, rel=1e-4)
        assert entry["samples_per_second"] > 0
        assert entry["memory_gb"] > 0
    written = [json.loads(line) for line in (tmp_path / "logs/train.jsonl").read_text().splitlines()]
    assert "grad_norm/head" in written[0]
    assert "head" in plots.watched(trainer.state.log_history, "grad_norm/")
    assert plots.watched(trainer.state.log_history, "nothing") == ""


def test_groups_hold_every_trainable_weight_once(tiny_model):
    model = apply_tuning(
        build_classifier(tiny_model, labels=LABELS, pooling="cls"), TuningConfig(method="lora", rank=2)
    )
    groups = weight_groups(model)
    names = [name for weights in groups.values() for name, _ in weights]
    assert sorted(names) == sorted(name for name, weight in model.named_parameters() if weight.requires_grad)
    assert list(groups) == ["layer_0", "layer_1", "head"]
    assert list(weight_groups(nn.Linear(2, 2))) == ["all"]


class Spoil(TrainerCallback):
    """Puts NaN into a weight before a step."""

    def __init__(self, name, step):
        self.name, self.step = name, step

    def on_step_begin(self, args, state, control, model=None, **_):
        if state.global_step == self.step - 1:
            with torch.no_grad():
                dict(model.named_parameters())[self.name].fill_(float("nan"))


def test_a_weight_that_is_not_finite_ends_the_run_by_name(tiny_model, tmp_path):
    name = "deberta.encoder.layer.1.output.dense.weight"
    trainer = trainer_of(tiny_model, tmp_path, callbacks=[Spoil(name, 2)])
    with pytest.raises(TrainingError, match=rf"the loss is nan at step 2: the weights {name} are not finite.* lower"):
        trainer.train()


def test_the_module_whose_output_overflows_is_named(tiny_model, tmp_path):
    trainer = trainer_of(tiny_model, tmp_path)
    layer = trainer.model.get_submodule("deberta.encoder.layer.1.intermediate")
    layer.register_forward_hook(lambda *_: torch.full_like(_[2], float("inf")))
    with pytest.raises(TrainingError, match=r"the output of deberta.encoder.layer.1.intermediate is not finite"):
        trainer.train()


def test_labels_and_the_loss_itself_are_told_apart(tiny_model, tmp_path):
    overflow = trainer_of(tiny_model, tmp_path / "a", loss=lambda logits, *_: (logits * float("inf")).sum())
    with pytest.raises(TrainingError, match="so that the loss function itself overflowed"):
        overflow.train()
    trainer = trainer_of(tiny_model, tmp_path / "b")
    batch = trainer.data_collator([trainer.train_dataset[0]])
    batch["labels"].fill_(float("nan"))
    with pytest.raises(TrainingError, match="the labels of the batch are not finite"):
        trainer.compute_loss(trainer.model.train(), batch)


class Infinite(torch.autograd.Function):
    """Passes its input on, and an infinite gradient back."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float("inf")


def test_a_gradient_that_is_not_finite_ends_the_run(tiny_model, tmp_path):
    trainer = trainer_of(tiny_model, tmp_path, loss=lambda logits, *_: Infinite.apply(logits).square().mean())
    with pytest.raises(TrainingError, match="the gradient is not finite at step 1: in every weight"):
        trainer.train()


def test_figures_go_to_tensorboard_by_default(tiny_model, tmp_path):
    config = replace(CONFIG, watch=WatchConfig())
    trainer_of(tiny_model, tmp_path, config).train()
    events = EventAccumulator(str(tmp_path / "logs/tensorboard"))
    events.Reload()
    assert {"train/loss", "train/learning_rate", "train/grad_norm/head", "eval/macro_f1"} <= set(
        events.Tags()["scalars"]
    )
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4]


def test_a_tracker_that_is_not_installed_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"watch.trackers names mlflow, .* pip install '.*\[track\]'"):
        trackers.build_trackers(["mlflow"], tmp_path, {})


def test_mlflow_and_wandb_are_built_once_with_the_parameters(monkeypatch, tmp_path):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda _: True)
    monkeypatch.setattr(trackers, "MLflow", lambda parameters: ("mlflow", parameters))
    monkeypatch.setattr(trackers, "Wandb", lambda parameters: ("wandb", parameters))
    built = trackers.build_trackers(["wandb", "mlflow", "wandb"], tmp_path, {"optim.lr": 1})
    assert built == [("wandb", {"optim.lr": 1}), ("mlflow", {"optim.lr": 1})]


def test_speed_counts_steps_and_not_what_lies_between(monkeypatch, tmp_path):
    clock = iter([0.0, 2.0, 100.0, 102.0])
    monkeypatch.setattr("training.callbacks.monitors.time.monotonic", lambda: next(clock))
    watch = SpeedWatch(32)
    for _ in range(2):
        watch.on_step_begin(None, None, None)
        watch.on_step_end(None, None, None)
    assert watch.metrics()["samples_per_second"] == 16.0
    assert "samples_per_second" not in watch.metrics()
    assert memory_bytes(tmp_path / "nothing") == 0 or torch.cuda.is_available()


def test_of_a_sharded_model_the_loss_alone_is_named():
    with pytest.raises(TrainingError, match="is inf at step 4: where it began is unknown, as the model is sharded"):
        check_finite(torch.tensor(float("inf")), None, {}, 3)
