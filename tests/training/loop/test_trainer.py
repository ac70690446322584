"""Training: exact resume, the best checkpoint, stopping, and metrics that do not depend on how a batch is split."""

import json
import signal
from dataclasses import replace
from functools import cached_property

import pytest
import torch
from accelerate.data_loader import prepare_data_loader
from safetensors.torch import load_file
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed

from shared.errors import TrainingError
from shared.modeling.classifier import build_classifier
from tests.training.rows import LABELS, tiny_rows
from training.config import Config, DataConfig, EvalConfig, OptimConfig, RunConfig, SamplingConfig, TuningConfig
from training.loop import progress
from training.loop import trainer as trainer_module
from training.loop.progress import StopRequest
from training.loop.train import build_trainer, train
from training.loop.trainer import training_arguments
from training.model.tuning import apply_tuning
from training.optim.optimizer import clip_gradients
from training.runtime.resources import Precision
from training.runtime.run_folder import RunFolder

FP32 = Precision("fp32", "test")
CONFIG = Config(
    run=RunConfig(keep_checkpoints=20, log_every_steps=1, save_every_steps=1),
    optim=OptimConfig(head_lr=None, epochs=3, lr=1e-2, batch_size=12),
    eval=EvalConfig(patience=None),
)


class Losses(TrainerCallback):
    """Keeps the logged loss of every step."""

    def __init__(self):
        self.of = {}

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs:
            self.of[state.global_step] = (logs["loss"], logs["grad_norm"], logs["learning_rate"])


def run(tiny_model, path, config=CONFIG, *, resume_from=None, precision=FP32, request=None, callbacks=()):
    set_seed(0)
    folder = RunFolder(path)
    folder.logs.mkdir(parents=True, exist_ok=True)
    model = apply_tuning(build_classifier(tiny_model, labels=LABELS, pooling="mean"), config.tuning)
    trainer = build_trainer(
        model, tiny_rows(config, tiny_model), config, folder, precision=precision, request=request or StopRequest()
    )
    losses = Losses()
    for callback in (losses, *callbacks):
        trainer.add_callback(callback)
    trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
    return trainer, losses.of


def weights(trainer):
    return {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize(("accumulation", "stop"), [(1, 3), (1, 4), (2, 1), (2, 4)])
def test_a_resumed_run_equals_the_unbroken_one_step_by_step(tiny_model, tmp_path, method, accumulation, stop):
    config = replace(
        CONFIG, optim=replace(CONFIG.optim, accumulation=accumulation), tuning=TuningConfig(method=method, rank=2)
    )
    whole, losses = run(tiny_model, tmp_path / "whole", config)
    resumed, later = run(
        tiny_model, tmp_path / "resumed", config, resume_from=tmp_path / f"whole/checkpoints/checkpoint-{stop}"
    )
    assert later == {step: values for step, values in losses.items() if step > stop}
    assert all(torch.equal(weight, weights(resumed)[name]) for name, weight in weights(whole).items())


def test_one_of_two_processes_goes_on_with_the_rows_of_its_epoch(tiny_model, tmp_path, monkeypatch):
    def first_of_two(self):
        whole = Trainer.get_train_dataloader(self)
        plain = DataLoader(whole.dataset, batch_sampler=whole.batch_sampler, collate_fn=whole.collate_fn)
        return prepare_data_loader(plain, num_processes=2, process_index=0)

    monkeypatch.setattr(trainer_module.EmotionTrainer, "get_train_dataloader", first_of_two)
    whole, losses = run(tiny_model, tmp_path)
    _, later = run(tiny_model, tmp_path / "resumed", resume_from=tmp_path / "checkpoints/checkpoint-3")
    assert whole.state.max_steps == 6  # two an epoch
    assert later == {step: values for step, values in losses.items() if step > 3}


def test_accumulated_gradients_equal_those_of_the_large_batch(tiny_model, tmp_path):
    data = DataConfig(sampling=SamplingConfig(group_by_length=False))
    large = replace(CONFIG, data=data, optim=replace(CONFIG.optim, epochs=1))
    small = replace(large, optim=replace(large.optim, batch_size=4, accumulation=3))
    set_seed(0)
    no_dropout = {"attention_dropout": 0.0, "hidden_dropout": 0.0}
    results = []
    for name, config in {"large": large, "small": small}.items():
        set_seed(0)
        folder = RunFolder(tmp_path / name)
        folder.logs.mkdir(parents=True)
        model = build_classifier(tiny_model, labels=LABELS, pooling="mean", **no_dropout)
        model.dropout.p = 0.0
        trainer = build_trainer(model, tiny_rows(config, tiny_model), config, folder, precision=FP32)
        losses = Losses()
        trainer.add_callback(losses)
        trainer.train()
        results.append([loss for loss, _, _ in losses.of.values()])
    assert results[0] == pytest.approx(results[1], abs=2e-4)
    assert len(results[0]) == 4


def test_the_last_ragged_step_of_an_epoch_equals_the_large_batch_too(tiny_model, tmp_path):
    """46 rows: steps of 12, 12, 12 and 10; in batches of 4 the last has 4, 4 and 2."""
    data = DataConfig(sampling=SamplingConfig(group_by_length=False))
    large = replace(CONFIG, data=data, optim=replace(CONFIG.optim, epochs=1, clip_norm=1e9, optimizer="sgd", lr=0.1))
    small = replace(large, optim=replace(large.optim, batch_size=4, accumulation=3))
    ended = []
    for name, config in {"large": large, "small": small}.items():
        set_seed(0)
        folder = RunFolder(tmp_path / name)
        folder.logs.mkdir(parents=True)
        model = build_classifier(tiny_model, labels=LABELS, pooling="mean", attention_dropout=0.0, hidden_dropout=0.0)
        model.dropout.p = 0.0
        trainer = build_trainer(model, tiny_rows(config, tiny_model, train=46), config, folder, precision=FP32)
        losses = Losses()
        trainer.add_callback(losses)
        trainer.train()
        ended.append(([loss for loss, *_ in losses.of.values()], weights(trainer)))
    assert ended[0][0] == pytest.approx(ended[1][0], abs=1e-4)
    for name, weight in ended[0][1].items():
        torch.testing.assert_close(weight, ended[1][1][name], atol=2e-6, rtol=0)


def test_the_model_ends_with_the_weights_of_the_best_evaluation(tiny_model, tmp_path):
    trainer, _ = run(tiny_model, tmp_path)
    scores = {entry["step"]: entry["eval_macro_f1"] for entry in trainer.state.log_history if "eval_macro_f1" in entry}
    best = max(scores, key=lambda step: (scores[step], -step))
    assert trainer.state.best_model_checkpoint.endswith(f"checkpoint-{best}")
    kept = load_file(tmp_path / f"checkpoints/checkpoint-{best}/model.safetensors")
    assert all(torch.equal(weight, kept[name]) for name, weight in weights(trainer).items())


def test_training_learns_the_task(tiny_model, tmp_path):
    config = replace(CONFIG, optim=replace(CONFIG.optim, epochs=16), run=RunConfig(log_every_steps=4))
    trainer, losses = run(tiny_model, tmp_path, config)
    assert trainer.state.best_metric > 0.8
    assert losses[64][0] < 0.6 * losses[4][0]


def stopping(patience):
    return replace(CONFIG, eval=EvalConfig(patience=patience), optim=replace(CONFIG.optim, epochs=9, lr=1e-9))


def test_training_stops_when_the_score_stalls_and_a_resumed_run_counts_on(tiny_model, tmp_path):
    config = stopping(2)
    trainer, _ = run(tiny_model, tmp_path / "whole", config)
    assert trainer.state.global_step == 3 * 4  # the first evaluation is the best, two more are not better
    resumed, _ = run(tiny_model, tmp_path / "resumed", config, resume_from=tmp_path / "whole/checkpoints/checkpoint-8")
    assert resumed.state.global_step == 3 * 4


def train_again(tiny_model, path, config, checkpoint):
    set_seed(5)
    model = build_classifier(tiny_model, labels=LABELS, pooling="mean")
    rows = tiny_rows(config, tiny_model)
    return model, train(model, rows, config, RunFolder(path), precision=FP32, resume_from=checkpoint)


@pytest.mark.parametrize("config", [stopping(2), CONFIG], ids=["stopped early", "all epochs done"])
def test_a_finished_training_is_resumed_without_a_further_step(tiny_model, tmp_path, config):
    trainer, _ = run(tiny_model, tmp_path, config)
    model, done = train_again(tiny_model, tmp_path, config, tmp_path / f"checkpoints/checkpoint-{12}")
    assert done.steps == 12
    assert done.best_score == trainer.state.best_metric
    best = load_file(tmp_path / f"checkpoints/checkpoint-{done.best_step}/model.safetensors")
    assert all(torch.equal(weight, best[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("config", [stopping(2), replace(CONFIG, optim=replace(CONFIG.optim, lr=1e-9))],
                         ids=["stopped early", "all epochs done"])  # fmt: skip
def test_a_finished_training_that_was_moved_gives_its_best_weights(tiny_model, tmp_path, config):
    run(tiny_model, tmp_path / "before", config)
    moved = (tmp_path / "before").rename(tmp_path / "after")
    model, done = train_again(tiny_model, moved, config, moved / "checkpoints/checkpoint-12")
    assert done.best_step == 4  # it learns nothing, so that the first evaluation stays the best
    best = load_file(moved / "checkpoints/checkpoint-4/model.safetensors")
    assert all(torch.equal(weight, best[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("missing", ["", "model.safetensors"], ids=["checkpoint", "weights"])
def test_a_best_checkpoint_that_is_gone_ends_a_run_in_one_line(tiny_model, tmp_path, missing):
    run(tiny_model, tmp_path, stopping(2))
    best = tmp_path / "checkpoints/checkpoint-4"
    (best / missing).rename(tmp_path / "lost")
    with pytest.raises(TrainingError, match=f"is not there, or without its weights: {best}"):
        train_again(tiny_model, tmp_path, stopping(2), tmp_path / "checkpoints/checkpoint-12")


class StopAt(TrainerCallback):
    """Sends this process SIGINT or SIGTERM after a step."""

    def __init__(self, step, number):
        self.step, self.number = step, number

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == self.step - 1:
            signal.raise_signal(self.number)


def evaluations(history):
    return [(entry["step"], entry["eval_loss"], entry["eval_macro_f1"]) for entry in history if "eval_loss" in entry]


@pytest.mark.parametrize(("step", "number"), [(6, signal.SIGINT), (8, signal.SIGTERM)])
def test_a_stop_finishes_the_step_saves_and_can_be_resumed_exactly(tiny_model, tmp_path, step, number):
    config = replace(CONFIG, run=replace(CONFIG.run, save_every_steps=None))
    whole, losses = run(tiny_model, tmp_path / "whole", config)
    request = StopRequest()
    with request.listening(), pytest.raises(KeyboardInterrupt):
        run(tiny_model, tmp_path / "cut", config, request=request, callbacks=[StopAt(step, number)])
    checkpoint = RunFolder(tmp_path / "cut").last_checkpoint()
    assert checkpoint.name == f"checkpoint-{step}"
    resumed, later = run(tiny_model, tmp_path / "cut", config, resume_from=checkpoint)
    assert later == {number: values for number, values in losses.items() if number > step}
    assert resumed.state.best_metric == whole.state.best_metric
    assert evaluations(resumed.state.log_history) == evaluations(whole.state.log_history)


@pytest.mark.parametrize(
    "config",
    [stopping(2), replace(CONFIG, optim=replace(CONFIG.optim, max_steps=6, ema_decay=0.8))],
    ids=["stalled", "within an epoch"],
)
def test_a_run_stopped_in_its_last_step_is_evaluated_and_ends_as_the_unbroken_one(tiny_model, tmp_path, config):
    config = replace(config, run=replace(CONFIG.run, save_every_steps=None))

    def trained(name, **options):
        set_seed(0)
        folder = RunFolder(tmp_path / name)
        folder.logs.mkdir(parents=True, exist_ok=True)
        model, rows = build_classifier(tiny_model, labels=LABELS, pooling="mean"), tiny_rows(config, tiny_model)
        progress = train(model, rows, config, folder, precision=FP32, **options)
        return progress, evaluations(progress.history), model.state_dict()

    whole, measured, weights = trained("whole")
    with pytest.raises(KeyboardInterrupt):
        trained("cut", callbacks=[StopAt(whole.steps, signal.SIGINT)])
    for _ in range(2):  # the second time it is finished already
        last = RunFolder(tmp_path / "cut").last_checkpoint()
        resumed, again, same = trained("cut", resume_from=last)
        assert (resumed.steps, resumed.best_step, resumed.best_score) == (
            whole.steps,
            whole.best_step,
            whole.best_score,
        )
        assert again == measured
        assert all(torch.equal(weight, same[name]) for name, weight in weights.items())


def test_a_second_stop_interrupts_at_once_and_the_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT)
    request = StopRequest()
    with request.listening():
        signal.raise_signal(signal.SIGINT)
        assert request.received
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_after_training_in_bf16_the_model_computes_in_float32(tiny_model, tmp_path):
    config = replace(CONFIG, optim=replace(CONFIG.optim, max_steps=2))
    set_seed(0)
    folder = RunFolder(tmp_path)
    folder.logs.mkdir(parents=True)
    model = build_classifier(tiny_model, labels=LABELS, pooling="mean")
    train(model, tiny_rows(config, tiny_model), config, folder, precision=Precision("bf16", "test"))
    fresh = build_classifier(tiny_model, labels=LABELS, pooling="mean")
    fresh.load_state_dict(load_file(folder.last_checkpoint() / "model.safetensors"))
    ids = torch.tensor([[1, 70, 80, 90, 2]])
    with torch.no_grad():
        assert torch.equal(model.eval()(input_ids=ids).logits, fresh.eval()(input_ids=ids).logits)


def test_precision_is_not_taken_over_from_an_earlier_run(tiny_model, tmp_path):
    config = replace(CONFIG, optim=replace(CONFIG.optim, epochs=1))
    before, after = (run(tiny_model, tmp_path / "bf16", config, precision=Precision("bf16", "test")) for _ in range(2))
    plain = run(tiny_model, tmp_path / "fp32", config)
    assert before[1] == after[1]
    assert plain[1] != after[1]


def test_the_log_of_a_resumed_run_has_every_step_once(tiny_model, tmp_path):
    run(tiny_model, tmp_path)
    run(tiny_model, tmp_path, resume_from=tmp_path / "checkpoints/checkpoint-5")
    entries = [json.loads(line) for line in (tmp_path / "logs/train.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries if "loss" in entry] == list(range(1, 13))


def test_progress_moves_on_a_terminal_alone(tiny_model, tmp_path, monkeypatch, capsys):
    run(tiny_model, tmp_path / "pipe")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(progress, "is_terminal", lambda: True)
    run(tiny_model, tmp_path / "terminal")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "step 12/12  epoch 3.00  loss " in shown.err


def test_gradients_are_clipped_by_our_function_in_every_step(tiny_model, tmp_path, monkeypatch):
    norms = []

    def clip(parameters, max_norm):
        assert max_norm == CONFIG.optim.clip_norm
        norms.append(clip_gradients(parameters, max_norm))
        return norms[-1]

    monkeypatch.setattr(trainer_module, "clip_gradients", clip)
    trainer, logged = run(tiny_model, tmp_path)
    assert len(norms) == trainer.state.global_step
    assert [norm for _, norm, _ in logged.values()] == pytest.approx([float(norm) for norm in norms])


def test_of_several_gpus_in_one_process_one_is_used_and_that_is_said(tmp_path, monkeypatch, caplog):
    class OfTwoGpus(TrainingArguments):
        @cached_property
        def _setup_devices(self):
            self._n_gpu = 2
            return torch.device("cpu")

    monkeypatch.setattr(trainer_module, "TrainingArguments", OfTwoGpus)
    monkeypatch.setattr(trainer_module.log, "propagate", True)
    with caplog.at_level("INFO", "training"):
        arguments = training_arguments(CONFIG, tmp_path, FP32)
    assert (arguments.n_gpu, arguments.train_batch_size) == (1, 12)
    assert "One of 2 GPUs is used; for all: accelerate launch --multi_gpu --num_processes 2" in caplog.text
