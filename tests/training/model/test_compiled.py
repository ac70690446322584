"""Compiled layers: the numbers of the plain ones, few shapes, and with everything else that training does."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from transformers import set_seed

from shared.modeling.classifier import build_classifier
from tests.training.rows import LABELS, tiny_rows
from training.config import Config, DataConfig, EvalConfig, OptimConfig, RunConfig, TuningConfig
from training.loop.train import build_trainer
from training.model.compiled import CompiledLayers, compile_layers, largest_number_of_shapes
from training.model.tuning import apply_tuning
from training.runtime.resources import Precision
from training.runtime.run_folder import RunFolder

FP32 = Precision("fp32", "test")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # the compiler's own


def classifier(checkpoint):
    set_seed(0)
    model = build_classifier(checkpoint, labels=LABELS, pooling="mean", hidden_dropout=0.0, attention_dropout=0.0)
    model.dropout.p = 0.0
    return model


def test_there_are_two_shapes_for_each_step_of_lengths():
    assert [largest_number_of_shapes(length) for length in (16, 17, 128, 512)] == [2, 4, 16, 64]


@pytest.mark.slow
def test_a_compiled_layer_has_the_numbers_of_the_plain_one_and_one_graph_a_shape(tiny_model):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    plain = classifier(tiny_model).train()
    compiled = copy.deepcopy(plain)
    met = compile_layers(compiled, max_length=16)
    assert met.limit == 2
    ids = torch.randint(5, 90, (4, 16), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    for model in (plain, compiled):
        for _ in range(2):
            model(input_ids=ids, attention_mask=mask).logits.square().sum().backward()
    for (name, weight), other in zip(plain.named_parameters(), compiled.parameters(), strict=True):
        assert (weight.grad is None) == (other.grad is None), name
        if weight.grad is not None:
            torch.testing.assert_close(other.grad, weight.grad, rtol=1e-4, atol=1e-5, msg=name)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1  # two layers, two passes
    assert not torch._dynamo.utils.counters["graph_break"]
    assert met.shapes == {(4, 16, 32)}
    compiled.eval()
    with torch.no_grad():  # evaluation has other sizes, and compiles nothing
        short = {"input_ids": ids[:1, :5], "attention_mask": mask[:1, :5]}
        assert torch.equal(compiled(**short).logits, plain.eval()(**short).logits)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.slow
def test_what_the_compiler_cannot_take_runs_plain_with_a_warning(tiny_model, caplog, monkeypatch):
    torch._dynamo.reset()
    plain = classifier(tiny_model).train()
    compiled = copy.deepcopy(plain)
    met = compile_layers(compiled, max_length=16)
    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", _broken)
    ids = torch.full((2, 16), 7)
    assert torch.equal(compiled(input_ids=ids).logits, plain(input_ids=ids).logits)
    assert caplog.text.count("through the PLAIN layers") == 1
    assert "no compiler here" in met.summary()


def _broken(*_, **__):
    raise RuntimeError("no compiler here")


def test_shapes_beyond_the_bound_run_plain_with_one_warning_each(caplog):
    met = CompiledLayers(limit=2)
    assert [met.takes((rows, 16)) for rows in (1, 2, 3, 1, 3, 4)] == [True, True, False, True, False, False]
    assert caplog.text.count("the most allowed") == 2
    assert met.summary() == "Layers were compiled for 2 shapes, at most 2 were allowed; 2 more ran plain."


@pytest.mark.slow
def test_training_through_compiled_layers_is_training(tiny_model, tmp_path, graphs_alone):
    """With LoRA, checkpointing, an average of the weights and accumulation."""
    config = Config(
        run=RunConfig(log_every_steps=1),
        data=DataConfig(max_length=16),
        optim=OptimConfig(
            head_lr=None, lr=1e-2, batch_size=8, accumulation=2, max_steps=2, ema_decay=0.9, gradient_checkpointing=True
        ),
        tuning=TuningConfig(method="lora", rank=2, dropout=0.0),
        eval=EvalConfig(patience=None),
    )
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    ended = []
    for chosen in ("none", "layers"):
        set_seed(0)
        folder = RunFolder(tmp_path / chosen)
        folder.logs.mkdir(parents=True)
        options = replace(config, optim=replace(config.optim, compile=chosen))
        model = apply_tuning(classifier(tiny_model), options.tuning)
        trainer = build_trainer(model, tiny_rows(options, tiny_model), options, folder, precision=FP32)
        trainer.train()
        ended.append({name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad})
    # the first layer, whose input needs no gradient, and the others; each with and without a mask
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 4
    assert set(ended[0]) == set(ended[1])
    for name, weight in ended[0].items():
        torch.testing.assert_close(ended[1][name], weight, rtol=1e-3, atol=1e-4, msg=name)
