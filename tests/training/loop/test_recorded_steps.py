"""Recorded passes: the numbers of plain training with all that goes with it, a bound, and loud ways back.

No GPU is needed: `Rerun` stands in for CUDA graphs and runs the recorded pass again on the memory it was recorded with,
so that everything around the graphs is what a card runs. That a pass never waits for a result, which no graph can
record, is tested on torch's meta device, whose tensors have shapes and no values.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from transformers import set_seed

from shared.fast_deberta.relative_positions import relative_rows
from shared.modeling.classifier import build_classifier
from tests.training.rows import LABELS, tiny_rows
from training.config import Config, DataConfig, EvalConfig, OptimConfig, RunConfig, TuningConfig
from training.loop.recorded_steps import RecordedSteps, reason_against
from training.loop.train import build_trainer
from training.losses.build import build_loss
from training.model.tuning import apply_tuning
from training.optim.optimizer import weight_penalty
from training.runtime.resources import Precision
from training.runtime.run_folder import RunFolder

FP32 = Precision("fp32", "test")
LORA = TuningConfig(method="lora", rank=2, dropout=0.0)
PROGRESSIVE = TuningConfig(method="progressive", top_layers=0, unfreeze_layers=1, unfreeze_every=0.5)
PARTIAL = TuningConfig(method="partial", top_layers=1)


class Rerun:
    """A recorder on a CPU."""

    def __init__(self):
        self.recorded = 0

    def run(self, run):
        return run()

    def record(self, run):
        self.recorded += 1
        loss = torch.zeros(())
        return lambda: loss.copy_(run()), loss


def trained(tiny_model, folder, config, *, recorder=None):
    """Weights, losses and the Trainer after training."""
    set_seed(0)
    run = RunFolder(folder)
    run.logs.mkdir(parents=True)
    model = build_classifier(tiny_model, labels=LABELS, pooling="mean", hidden_dropout=0.0, attention_dropout=0.0)
    model.dropout.p = 0.0
    model = apply_tuning(model, config.tuning)
    trainer = build_trainer(model, tiny_rows(config, tiny_model), config, run, precision=FP32)
    if recorder is not None:
        trainer.recorded = RecordedSteps(model.parameters(), 8, recorder)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {name: weight.detach() for name, weight in model.named_parameters()}, losses, trainer


def config_of(tuning=None, **optim):
    return Config(
        run=RunConfig(log_every_steps=1),
        data=DataConfig(max_length=16),
        optim=OptimConfig(head_lr=None, lr=1e-2, batch_size=8, epochs=2, **optim),
        tuning=tuning or TuningConfig(),
        eval=EvalConfig(patience=None),
    )


@pytest.mark.parametrize(
    ("tuning", "optim"),
    [
        (None, {}),
        (None, {"accumulation": 4, "ema_decay": 0.9, "l2": 1e-3}),  # 6 batches an epoch: the last step has two
        (LORA, {"accumulation": 2}),
        (PARTIAL, {}),
        (PROGRESSIVE, {"accumulation": 2}),
    ],
    ids=["full", "accumulation and average", "lora", "partial", "progressive"],
)
def test_recorded_training_is_training(tiny_model, tmp_path, tuning, optim):
    config = config_of(tuning, **optim)
    plain, losses, _ = trained(tiny_model, tmp_path / "plain", config)
    recorder = Rerun()
    weights, found, trainer = trained(tiny_model, tmp_path / "recorded", config, recorder=recorder)
    assert trainer.recorded.replayed > 0
    assert recorder.recorded > 0
    assert found == pytest.approx(losses, rel=1e-5)
    for name, weight in plain.items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # the compiler's own
@pytest.mark.parametrize(
    ("tuning", "optim"),
    [
        (PROGRESSIVE, {}),
        (PARTIAL, {"accumulation": 2, "gradient_checkpointing": True}),
    ],
    ids=["progressive", "partial and checkpointing"],
)
def test_recorded_passes_through_compiled_layers_are_training(tiny_model, tmp_path, tuning, optim, graphs_alone):
    torch._dynamo.reset()
    config = config_of(tuning, **optim)
    plain, _, _ = trained(tiny_model, tmp_path / "plain", config)
    config = replace(config, optim=replace(config.optim, compile="layers"))
    weights, _, trainer = trained(tiny_model, tmp_path / "recorded", config, recorder=Rerun())
    assert trainer.recorded.replayed > 0
    assert trainer.compiled.failure is None
    assert 1 <= len(trainer.compiled.shapes) <= trainer.compiled.limit == 2
    for name, weight in plain.items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=1e-4, msg=name)


class Linear:
    """Passes of a linear model, scaled as fp16 wants it, and their optimiser."""

    def __init__(self, recorder=None, limit=4):
        torch.manual_seed(0)
        self.model = nn.Linear(3, 2)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14, growth_interval=2)
        self.steps = None if recorder is None else RecordedSteps(self.model.parameters(), limit, recorder)

    def run(self, batch):
        loss = self.model(batch["x"]).square().mean() * batch["factor"]
        self.scaler.scale(loss).backward()
        return loss.detach()

    def step(self, rows, factor=1.0):
        batch = {"x": torch.linspace(-1, 1, 3 * rows).view(rows, 3), "factor": torch.tensor(factor)}
        loss = self.run(batch) if self.steps is None else self.steps(self.run, batch)
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), 0.1)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss)


def test_loss_scaling_grows_shrinks_and_skips_as_without_recording():
    plain, recorded = Linear(), Linear(Rerun())
    for step in range(12):
        factor = float("inf") if step == 6 else 1.0
        assert recorded.step(4, factor) == plain.step(4, factor)
        assert recorded.scaler.get_scale() == plain.scaler.get_scale()
    assert plain.scaler.get_scale() != 2.0**14
    assert recorded.steps.replayed == 11  # the first ran as it is
    assert torch.equal(recorded.model.weight, plain.model.weight)


def test_shapes_beyond_the_limit_run_as_they_are_with_a_warning(caplog):
    recorded, plain = Linear(Rerun(), limit=2), Linear()
    with caplog.at_level(logging.INFO, "training"):
        for rows in (2, 3, 4, 5) * 3:
            assert recorded.step(rows) == plain.step(rows)
    assert recorded.steps.recorder.recorded == 2
    assert caplog.text.count("Batches of more than 2 shapes") == 1
    assert (
        "2 shapes were recorded as CUDA graphs, at most 2 were allowed: 4 batches were replayed, 8 ran as they are"
        in (recorded.steps.summary())
    )


def test_a_pass_that_cannot_be_recorded_goes_on_with_a_warning(caplog):
    class Broken(Rerun):
        def record(self, run):
            raise RuntimeError("operation not permitted when stream is capturing")

    recorded, plain = Linear(Broken()), Linear()
    for _ in range(4):
        assert recorded.step(4) == plain.step(4)
    assert caplog.text.count("WITHOUT CUDA graphs") == 1
    assert "not permitted" in recorded.steps.summary()
    assert torch.equal(recorded.model.weight, plain.model.weight)


def test_a_lack_of_memory_while_recording_is_a_lack_of_memory():
    class Full(Rerun):
        def record(self, run):
            try:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            finally:
                raise RuntimeError("capture was invalidated")

    recorded = Linear(Full())
    recorded.step(4)
    with pytest.raises(torch.OutOfMemoryError):
        recorded.step(4)


def test_weights_that_moved_are_recorded_anew():
    recorded = Linear(Rerun())
    for _ in range(3):
        recorded.step(4)
    recorded.model.weight.data = recorded.model.weight.data.clone()
    for _ in range(3):
        recorded.step(4)
    assert recorded.steps.recorder.recorded == 2


def test_graphs_need_one_cuda_device_without_recomputation():
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert reason_against(cuda, 1, checkpointing=False) is None
    assert "no CUDA device" in reason_against(cpu, 1, checkpointing=False)
    assert "2 processes" in reason_against(cuda, 2, checkpointing=False)
    assert "gradient_checkpointing" in reason_against(cuda, 1, checkpointing=True)


def test_graphs_without_a_card_are_compiled_layers_said_in_the_log(tiny_model, tmp_path, caplog):
    config = config_of(compile="graphs")
    folder = RunFolder(tmp_path)
    folder.logs.mkdir(parents=True)
    model = build_classifier(tiny_model, labels=LABELS, pooling="mean")
    trainer = build_trainer(model, tiny_rows(config, tiny_model), config, folder, precision=FP32)
    assert trainer.recorded is None
    assert trainer.compiled is not None
    assert "WITHOUT CUDA graphs, as there is no CUDA device" in caplog.text


def on_meta(rows):
    return replace(rows, ascending=rows.ascending.to("meta"), descending=rows.descending.to("meta"))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_pass_on_an_accelerator_never_waits_for_a_result(tiny_model, pooling, monkeypatch):
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)  # which does not know of the meta device
    # made once for each length, before anything is recorded
    rows = partial(relative_rows, device=torch.device("cpu"))
    monkeypatch.setattr("shared.fast_deberta.attention.relative_rows", lambda *given: on_meta(rows(*given[:-1])))
    config = config_of()
    model = build_classifier(tiny_model, labels=LABELS, pooling=pooling).train().to("meta")
    ids = torch.ones(2, 16, dtype=torch.long, device="meta")
    targets = torch.zeros(2, len(LABELS), device="meta")
    logits = model(input_ids=ids, attention_mask=ids.clone()).logits
    loss = build_loss(config.loss)(logits, targets, targets == 0) + weight_penalty(model, 1e-3, 1e-3)
    loss.backward()
    assert all(weight.grad is not None for weight in model.parameters())
    with pytest.raises(RuntimeError):  # it would have been seen
        bool(loss > 0)
