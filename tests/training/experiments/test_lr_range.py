"""The learning-rate range test: rates rise by a factor, and the suggestion is where the loss falls fastest."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
import torch

from shared.errors import ConfigError, TrainingError
from shared.modeling.classifier import build_classifier
from tests.training.rows import LABELS, tiny_rows
from training.config import Config, OptimConfig
from training.config.experiments import RangeConfig
from training.distillation import Distillation, with_teacher
from training.experiments.lr_range import RangeResult, find_range
from training.loop import train as train_module
from training.loop.train import build_trainer
from training.loop.trainer import EmotionTrainer
from training.lr_range import main
from training.runtime.resources import Precision
from training.runtime.run_folder import RunFolder

CONFIG = Config(optim=OptimConfig(batch_size=12, lr=2e-4, head_lr=4e-4))
FP32 = Precision("fp32", "test")


def test_the_suggestion_is_where_the_loss_falls_fastest():
    rates = np.geomspace(1e-6, 1e-1, 200)
    place = np.log10(rates)
    losses = 0.7 - 0.5 / (1 + np.exp(-6 * (place + 3.5))) + 5 * np.maximum(0, place + 2) ** 2
    suggestion = RangeResult(rates, losses).suggestion
    assert 10**-3.7 < suggestion < 10**-2.9  # steepest at 10^-3.5, a little later after smoothing


def test_there_is_none_where_the_loss_does_not_fall():
    rates = np.geomspace(1e-6, 1e-3, 50)
    assert RangeResult(rates, np.linspace(0.5, 0.9, 50)).suggestion is None


def test_smoothing_leaves_a_constant_as_it_is():
    assert RangeResult(np.ones(5), np.full(5, 0.4)).smoothed == pytest.approx(np.full(5, 0.4))


@pytest.fixture
def model(tiny_model):
    torch.manual_seed(0)
    return build_classifier(tiny_model, labels=LABELS, pooling="mean")


def test_rates_grow_by_one_factor_over_several_epochs(tiny_model, model):
    rows = tiny_rows(CONFIG, tiny_model, train=24)
    result = find_range(model, rows, CONFIG, RangeConfig(steps=7), FP32)
    assert result.rates[[0, -1]] == pytest.approx([1e-6, 1e-3])
    assert np.allclose(result.rates[1:] / result.rates[:-1], 1000 ** (1 / 6))
    assert len(result.losses) == 7


def test_it_ends_when_the_loss_diverges(tiny_model, model):
    rows = tiny_rows(CONFIG, tiny_model)
    config = replace(CONFIG, optim=OptimConfig(optimizer="sgd", batch_size=12, clip_norm=0.0))
    result = find_range(model, rows, config, RangeConfig(low=1e-3, high=1e6, steps=60), FP32)
    assert 2 <= len(result.rates) < 60


@pytest.mark.parametrize("tried", [RangeConfig(low=1e-3, high=1e-6), RangeConfig(steps=1)])
def test_rates_that_do_not_rise_are_refused(tiny_model, model, tried):
    with pytest.raises(ConfigError, match="give no range; low must be below high"):
        find_range(model, None, CONFIG, tried, FP32)


class LossOfEveryBatch(EmotionTrainer):
    """The trainer of a run, noting what its steps minimise."""

    def compute_loss(self, *args, **options):
        loss = super().compute_loss(*args, **options)
        if self.model.training:
            self.noted.append(loss.item())
        return loss


@pytest.mark.parametrize(
    ("optim", "taught"),
    [({}, False), ({"accumulation": 2}, False), ({"l1": 0.01, "l2": 0.02}, False), ({"accumulation": 2}, True)],
)
def test_the_losses_are_those_of_the_steps_of_a_run_at_the_same_rate(tiny_model, tmp_path, monkeypatch, optim, taught):
    rate, steps = 5e-3, 4  # one epoch: an evaluation draws from the random state that dropout uses
    made = OptimConfig(
        batch_size=6, lr=rate, head_lr=2 * rate, schedule="constant", warmup_ratio=0.0, max_steps=steps, **optim
    )
    config = replace(CONFIG, optim=made)

    def fresh():
        torch.manual_seed(0)
        rows = tiny_rows(config, tiny_model, train=48)
        if taught:
            logits = np.random.default_rng(3).normal(size=(48, len(LABELS))).astype(np.float32)
            rows = replace(rows, train=with_teacher(rows.train, logits), distillation=Distillation(0.7, 2.0))
        return build_classifier(tiny_model, labels=LABELS, pooling="mean"), rows

    monkeypatch.setattr(train_module, "EmotionTrainer", LossOfEveryBatch)
    model, rows = fresh()
    folder = RunFolder(tmp_path)
    folder.logs.mkdir(parents=True)
    trainer = build_trainer(model, rows, config, folder, precision=FP32)
    trainer.noted = []
    trainer.train()
    expected = np.reshape(trainer.noted, (steps, made.accumulation)).mean(axis=1)

    model, rows = fresh()
    found = find_range(model, rows, config, RangeConfig(low=rate * (1 - 1e-12), high=rate, steps=steps), FP32)
    assert found.losses == pytest.approx(expected, rel=1e-5)
    if optim or taught:  # what was asked for is in the loss
        model, rows = fresh()
        without = replace(config, optim=replace(made, accumulation=1, l1=0.0, l2=0.0))
        rows = replace(rows, distillation=None)
        other = find_range(model, rows, without, RangeConfig(low=rate * (1 - 1e-12), high=rate, steps=steps), FP32)
        assert abs(other.losses - expected).max() > 1e-3


def test_a_loss_that_is_not_finite_ends_the_test_or_is_an_error_at_the_first_rate(tiny_model, model):
    rows = tiny_rows(CONFIG, tiny_model)
    calls = iter([1.0, 1.0, float("nan")])
    broken = replace(rows, loss=lambda *given: rows.loss(*given) * next(calls))
    assert len(find_range(model, broken, CONFIG, RangeConfig(steps=9), FP32).losses) == 2
    broken = replace(rows, loss=lambda *given: rows.loss(*given) * float("nan"))
    with pytest.raises(TrainingError, match="the loss is nan at step 1"):
        find_range(model, broken, CONFIG, RangeConfig(steps=9), FP32)


def test_the_command_draws_the_loss_and_ends_with_json(arguments, tmp_path, capsys):
    main([*arguments, "--range.high=0.1", "--range.steps=30"])
    lines = capsys.readouterr().out.splitlines()
    found = json.loads(lines[-1])
    assert 1e-6 <= found["suggestion"] <= 0.1
    assert f"try --optim.lr {found['suggestion']:.1e}" in lines[-2]
    assert ET.parse(tmp_path / "runs/default/lr_range.svg").getroot().tag.endswith("svg")


def test_a_range_too_low_is_told(arguments, capsys):
    main([*arguments, "--range.low=1e-12", "--range.high=1e-11", "--range.steps=2"])
    assert "The loss fell at none of them: raise --range.high" in capsys.readouterr().out
