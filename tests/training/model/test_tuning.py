"""LoRA: what is trained, what a checkpoint restores, and that merging changes nothing."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import set_seed

from shared.errors import ConfigError
from shared.modeling.classifier import build_classifier
from tests.helpers import tiny_checkpoint
from tests.training.rows import LABELS, tiny_rows
from training.config import Config, EvalConfig, OptimConfig, RunConfig, TuningConfig
from training.loop.progress import StopRequest
from training.loop.train import build_trainer
from training.model.lora import merged
from training.model.tuning import apply_tuning, count_parameters, load_tuned, trainable_state
from training.runtime.resources import Precision
from training.runtime.run_folder import RunFolder

LORA = TuningConfig(method="lora", rank=4, alpha=8.0, dropout=0.0)
IDS = torch.tensor([[1, 70, 80, 90, 2], [1, 75, 2, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def classifier(model, pooling="cls", seed=0):
    set_seed(seed)
    return build_classifier(model, labels=LABELS, pooling=pooling)


def logits_of(model):
    with torch.no_grad():
        return model.eval()(input_ids=IDS, attention_mask=MASK).logits


def trained(model, tiny_model, path, *, checkpointing=False, steps=4):
    config = Config(
        run=RunConfig(log_every_steps=1),
        optim=OptimConfig(
            head_lr=None,
            max_steps=steps,
            lr=5e-2,
            warmup_ratio=0.0,
            batch_size=12,
            gradient_checkpointing=checkpointing,
            weight_decay=0.0,
        ),
        eval=EvalConfig(patience=None),
    )
    folder = RunFolder(path)
    folder.logs.mkdir(parents=True)
    rows = tiny_rows(config, tiny_model)
    build_trainer(model, rows, config, folder, precision=Precision("fp32", "test"), request=StopRequest()).train()
    return sorted(folder.checkpoints.iterdir())[-1]


def test_full_trains_every_weight(tiny_model):
    trainable, total = count_parameters(apply_tuning(classifier(tiny_model), TuningConfig()))
    assert trainable == total


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_lora_updates_the_encoders_layers_and_trains_head_and_pooler_in_full(tiny_model, pooling):
    model = apply_tuning(classifier(tiny_model, pooling), LORA)
    names = [name for name, weight in model.named_parameters() if weight.requires_grad]
    updates = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in names if ".lora_" in name}
    heads = {name.split("base_model.model.")[1].split(".")[0] for name in names if ".lora_" not in name}
    assert updates == {"query_proj", "key_proj", "value_proj", "dense"}
    assert heads == {"classifier", "pooler" if pooling == "cls" else "mean_pooler"}
    assert not any(".lora_" in name and "deberta.encoder" not in name for name in names)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_lora_knows_the_names_of_other_architectures(tmp_path, family):
    model = apply_tuning(classifier(tiny_checkpoint(tmp_path / family, family=family), "mean"), LORA)
    names = [name for name, _ in model.named_parameters() if ".lora_A" in name]
    assert len(names) == 2 * 6  # query, key, value, attention output and two of the feed-forward, in two layers


def test_targets_that_are_not_there_are_named_with_those_that_are(tiny_model):
    options = TuningConfig(method="lora", targets=["q_proj", "v_proj"])
    with pytest.raises(ConfigError, match="q_proj, v_proj are not in this deberta-v2 encoder; .* dense, key_proj"):
        apply_tuning(classifier(tiny_model), options)


def test_named_targets_alone_are_updated(tiny_model):
    model = apply_tuning(classifier(tiny_model), TuningConfig(method="lora", targets=["value_proj"]))
    assert {n.split(".lora_")[0].rsplit(".", 1)[-1] for n, _ in model.named_parameters() if ".lora_" in n} == {
        "value_proj"
    }


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_trainable_tensor_moves(tiny_model, tmp_path, method, pooling, checkpointing):
    model = apply_tuning(classifier(tiny_model, pooling), TuningConfig(method=method, rank=4, dropout=0.0))
    before = trainable_state(model)
    trained(model, tiny_model, tmp_path, checkpointing=checkpointing)
    after = trainable_state(model) if method == "full" else {n: w.detach() for n, w in model.named_parameters()}
    unmoved = [name for name, weight in before.items() if torch.equal(weight, after[name])]
    assert unmoved == []


def test_gradient_checkpointing_changes_no_result(tiny_model, tmp_path):
    first, second = (apply_tuning(classifier(tiny_model), LORA) for _ in range(2))
    trained(first, tiny_model, tmp_path / "plain")
    trained(second, tiny_model, tmp_path / "saved", checkpointing=True)
    assert torch.allclose(logits_of(first), logits_of(second), atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_merging_leaves_the_logits_and_no_trace_of_the_updates(tiny_model, tmp_path, pooling):
    model = apply_tuning(classifier(tiny_model, pooling), LORA)
    trained(model, tiny_model, tmp_path)
    before = logits_of(model)
    plain = merged(model)
    assert torch.allclose(logits_of(plain), before, atol=1e-5)
    assert set(plain.state_dict()) == set(classifier(tiny_model, pooling).state_dict())


@pytest.mark.slow
def test_a_lora_checkpoint_in_a_fresh_process_gives_identical_logits(tiny_model, tmp_path):
    model = apply_tuning(classifier(tiny_model), LORA)
    checkpoint = trained(model, tiny_model, tmp_path)
    expected = logits_of(model)
    program = f"""
import json, torch
from pathlib import Path
from shared.modeling.classifier import build_classifier
from training.model.tuning import load_tuned
torch.manual_seed(12345)
model = build_classifier({str(tiny_model)!r}, labels={LABELS!r}, pooling="cls")
model = load_tuned(model, Path({str(checkpoint)!r})).eval()
with torch.no_grad():
    logits = model(input_ids=torch.tensor({IDS.tolist()}), attention_mask=torch.tensor({MASK.tolist()})).logits
print(json.dumps(logits.tolist()))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert np.array_equal(np.array(json.loads(result.stdout), dtype=np.float32), expected.numpy())


def test_a_full_checkpoint_restores_the_logits(tiny_model, tmp_path):
    model = classifier(tiny_model)
    checkpoint = trained(model, tiny_model, tmp_path)
    assert torch.equal(logits_of(load_tuned(classifier(tiny_model, seed=9), checkpoint)), logits_of(model))
