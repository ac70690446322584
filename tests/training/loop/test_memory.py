"""Out of memory: training goes on with smaller batches, and each step has the rows it would have had."""

import logging
from dataclasses import replace

import pytest
import torch
from transformers import set_seed

from shared.errors import TrainingError
from shared.modeling.classifier import build_classifier
from shared.modeling.device import is_out_of_memory
from tests.training.rows import LABELS, tiny_rows
from training.config import Config, EvalConfig, OptimConfig, RunConfig, TuningConfig, WatchConfig
from training.loop.memory import halved
from training.loop.train import train
from training.runtime.resources import Precision
from training.runtime.run_folder import RunFolder

CONFIG = Config(
    run=RunConfig(log_every_steps=1, keep_checkpoints=20),
    optim=OptimConfig(head_lr=None, epochs=2, lr=1e-3, batch_size=12),
    eval=EvalConfig(patience=None, batch_size=1),
    watch=WatchConfig(trackers=[], notes=False),
)


def losses(tiny_model, path, config=CONFIG, **options):
    """Logged losses of a run."""
    history, seen = logged(tiny_model, path, config, **options)
    return [entry["loss"] for entry in history if "loss" in entry], seen


def logged(
    tiny_model, path, config=CONFIG, *, limit=None, after=0, error=None, resume_from=None, in_training=True
):  # fmt: skip
    """The log of a run whose loss takes at most `limit` rows from the `after`-th batch on, in training or on dev."""
    set_seed(0)
    folder = RunFolder(path)
    folder.logs.mkdir(parents=True, exist_ok=True)
    model = build_classifier(tiny_model, labels=LABELS, pooling="mean", attention_dropout=0.0, hidden_dropout=0.0)
    model.dropout.p = 0.0
    rows, seen = tiny_rows(config, tiny_model), []

    def loss(logits, *others):
        seen.append(len(logits))
        if model.training is in_training and limit is not None and len(seen) > after and len(logits) > limit:
            raise error or torch.OutOfMemoryError("CUDA out of memory.")
        return rows.loss(logits, *others)

    fp32 = Precision("fp32", "test")
    done = train(model, replace(rows, loss=loss), config, folder, precision=fp32, resume_from=resume_from)
    return done.history, seen


@pytest.mark.parametrize("after", [0, 2], ids=["in the first step", "later"])
def test_steps_have_the_same_rows_in_smaller_batches(tiny_model, tmp_path, caplog, after):
    caplog.set_level(logging.INFO, logger="training")
    whole, _ = losses(tiny_model, tmp_path / "whole")
    fitted, seen = losses(tiny_model, tmp_path / "fitted", limit=6, after=after)
    assert fitted == pytest.approx(whole, abs=2e-4)
    assert len(fitted) == 8
    assert seen[after + 1 :].count(12) == 0
    assert f"Out of memory after step {after}: going on with optim.batch_size 6 and optim.accumulation 2" in caplog.text


@pytest.mark.parametrize("after", [0, 3], ids=["in the first step", "later"])
def test_layers_are_unfrozen_as_without_it(tiny_model, tmp_path, after):
    config = replace(CONFIG, tuning=TuningConfig(method="progressive", top_layers=0, unfreeze_every=0.5))
    whole, _ = losses(tiny_model, tmp_path / "whole", config)
    fitted, _ = losses(tiny_model, tmp_path / "fitted", config, limit=6, after=after)
    assert fitted == pytest.approx(whole, abs=2e-4)


def test_a_run_that_was_fitted_is_resumed_with_its_own_batches(tiny_model, tmp_path):
    fitted, _ = losses(tiny_model, tmp_path, limit=6)
    resumed, seen = losses(tiny_model, tmp_path, resume_from=tmp_path / "checkpoints/checkpoint-4")
    assert resumed == pytest.approx(fitted, abs=2e-4)
    assert seen[:4] == [12] * 4


def test_an_evaluation_that_did_not_fit_is_made_up_for(tiny_model, tmp_path):
    config = replace(CONFIG, eval=replace(CONFIG.eval, batch_size=24))
    history, seen = logged(tiny_model, tmp_path, config, limit=12, in_training=False)
    assert [entry["step"] for entry in history if "eval_loss" in entry] == [4, 8]
    assert seen[4:7] == [24, 12, 12]


def test_it_halves_until_it_fits(tiny_model, tmp_path):
    _, seen = losses(tiny_model, tmp_path, limit=3, error=RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert seen[:3] == [12, 6, 3]


def test_a_batch_that_cannot_be_halved_ends_the_run(tiny_model, tmp_path):
    with pytest.raises(TrainingError, match=r"out of memory with optim.batch_size 3\. Try --optim.batch_size 1 "):
        losses(tiny_model, tmp_path, limit=2)


@pytest.mark.parametrize(("fit", "processes"), [(False, 1), (True, 2)])
def test_it_is_an_option_and_for_one_process(fit, processes):
    with pytest.raises(TrainingError, match="out of memory with optim.batch_size 32"):
        halved(Config(optim=OptimConfig(fit_memory=fit)), processes)


def test_other_errors_are_not_taken_for_it(tiny_model, tmp_path):
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert is_out_of_memory(MemoryError())
    with pytest.raises(RuntimeError, match="shapes differ"):
        losses(tiny_model, tmp_path, limit=2, error=RuntimeError("shapes differ"))
