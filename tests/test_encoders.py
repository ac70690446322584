"""Every encoder of the documented table: training step, bundle, export and verification, on tiny random weights."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from serving import export
from serving.exported import read_reports
from shared.bundle import Bundle
from shared.errors import ModelError, PreflightError
from shared.modeling.classifier import build_classifier
from shared.modeling.encoders import TESTED
from tests.helpers import optimum_or_skip, tiny_checkpoint
from tests.training.conftest import run_arguments
from tests.training.rows import LABELS, tiny_rows, write_table
from training import run
from training.checks.check import run_checks
from training.checks.encoder import check_export
from training.checks.learning import learning_checks
from training.config import Config, OptimConfig
from training.model.classifier import start_head

FIELDS = {
    "deberta": {
        "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "max_relative_positions": -1,
        "position_biased_input": False, "type_vocab_size": 0, "pooler_hidden_size": 32,
    },
    "deberta-v2": {},
    "bert": {},
    "roberta": {},
    "xlm-roberta": {},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    "electra": {"embedding_size": 32},
    "albert": {"embedding_size": 16},
    "mpnet": {},
    "modernbert": {
        "local_attention": 16, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2,
    },
    "big_bird": {"block_size": 16},
}  # fmt: skip
"""Architecture -> what its tiny form needs beside the fields that all have."""
OTHERS = {
    "longformer": {"attention_window": 16},
    "roformer": {"embedding_size": 32},
    "convbert": {"embedding_size": 32, "head_ratio": 1},
    "mobilebert": {"embedding_size": 32, "intra_bottleneck_size": 32, "true_hidden_size": 32},
    "squeezebert": {"embedding_size": 32},
    "nystromformer": {"segment_means_seq_len": 16, "num_landmarks": 4, "conv_kernel_size": 3},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128},
    "qwen2": {"num_key_value_heads": 2},
}  # fmt: skip
CONFIG = Config(optim=OptimConfig(head_lr=None, lr=1e-3, batch_size=8))


def checkpoint(folder: Path, kind: str) -> Path:
    return tiny_checkpoint(folder / kind, family=kind, **{**FIELDS, **OTHERS}.get(kind, {}))


def checked(folder: Path, kind: str, name: str, *, pooling: str = "cls", precision: str = "fp32") -> list[str]:
    """One check of preflight for a fresh classifier on an encoder."""
    source = checkpoint(folder, kind)
    torch.manual_seed(0)
    model = build_classifier(source, labels=LABELS, pooling=pooling)
    start_head(model, np.full(len(LABELS), 0.4))
    found = learning_checks(model, tiny_rows(CONFIG, source), CONFIG, precision)
    return run_checks([check for check in found if check.name == name])


def test_the_table_of_the_docs_lists_what_is_tested():
    assert set(FIELDS) == set(TESTED)
    page = (Path(__file__).parents[1] / "docs/training.md").read_text()
    table = page.split("## Tested encoders")[1].split("\n## ")[0]
    assert dict(re.findall(r"^\| `([\w-]+)` \| ([^|]+?) \|", table, re.MULTILINE)) == TESTED


@pytest.mark.slow
@pytest.mark.parametrize("kind", TESTED)
def test_an_encoder_goes_from_a_training_step_to_a_verified_export(tmp_path, kind):
    arguments = run_arguments(
        checkpoint(tmp_path, kind), write_table(tmp_path / "table.jsonl", rows=60), tmp_path / "runs"
    )
    # in bf16, as on a machine that has it; half of them with LoRA
    half = ["--tuning.method=lora"] if sorted(TESTED).index(kind) % 2 else []
    options = ["--optim.precision=bf16", "--optim.max_steps=1", "--watch.trackers=[]", "--preflight.skip=[one_batch]"]
    run.main([*arguments, *options, *half])
    path = tmp_path / "runs/default/bundle"
    if kind != "deberta-v2":
        optimum_or_skip()
    export.main([str(path)])
    assert read_reports(Bundle.read(path))["fp32"]["passed"]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_deberta_v1_computes_in_mixed_precision_what_it_computes_in_float32(tmp_path, precision, pooling):
    model = build_classifier(checkpoint(tmp_path, "deberta"), labels=LABELS, pooling=pooling).eval()
    ids = torch.arange(5, 29).view(3, 8)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    exact = model(input_ids=ids, attention_mask=mask).logits.detach()
    with torch.autocast("cpu", dtype={"bf16": torch.bfloat16, "fp16": torch.float16}[precision]):
        rounded = model(input_ids=ids, attention_mask=mask).logits
    rounded.float().sum().backward()
    assert torch.allclose(rounded.detach().float(), exact, atol=0.05 * float(exact.abs().max()))
    assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)


@pytest.mark.parametrize(
    ("kind", "pooling", "unused"),
    [
        ("big_bird", "cls", "bert.pooler.weight"),
        ("longformer", "cls", "longformer.encoder.layer.1.attention.self.query.weight"),
        ("longformer", "mean", "longformer.encoder.layer.0.attention.self.query_global.weight"),
        ("squeezebert", "mean", "transformer.pooler.dense.weight"),
    ],
)
def test_weights_that_an_architecture_does_not_use_are_no_fault(tmp_path, kind, pooling, unused):
    (line,) = checked(tmp_path, kind, "gradients", pooling=pooling)
    assert f"the logits do not depend on the other {line.split('other ')[1].split(',')[0]}, such as" in line
    assert unused.rsplit(".", 1)[0].split(".")[-1] in line or "self." in line


def test_a_table_of_sines_is_not_trained(tmp_path):
    (line,) = checked(tmp_path, "roformer", "gradients")
    assert "reach" in line
    model = build_classifier(checkpoint(tmp_path, "roformer"), labels=LABELS, pooling="cls")
    assert not model.roformer.encoder.embed_positions.weight.requires_grad


@pytest.mark.parametrize("kind", ["convbert", "mobilebert"])
def test_an_encoder_that_sees_padding_is_refused_before_training(tmp_path, kind):
    with pytest.raises(PreflightError, match=r"change by .* when 8 tokens of padding follow it: the encoder sees"):
        checked(tmp_path, kind, "padding", pooling="mean")


def test_an_encoder_that_cannot_compute_a_batch_is_refused_with_its_reason(tmp_path):
    with pytest.raises(PreflightError, match=r"cannot compute a batch of 8 texts in fp32: .*Choose another encoder"):
        checked(tmp_path, "nystromformer", "initial_loss")


@pytest.mark.parametrize("kind", ["gpt2", "qwen2"])
def test_a_head_without_bias_starts_and_learns(tmp_path, kind):
    assert checked(tmp_path, kind, "one_batch")


def test_an_encoder_without_a_mask_or_a_table_of_embeddings_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"fnet encoders have no attention mask.*docs/training\.md lists"):
        build_classifier(checkpoint(tmp_path, "fnet"), labels=LABELS, pooling="mean")
    with pytest.raises(ModelError, match=r"ibert encoders keep their embeddings in a QuantEmbedding"):
        build_classifier(checkpoint(tmp_path, "ibert"), labels=LABELS, pooling="cls")


class Named:
    def __init__(self, model_type):
        self.model_type = model_type


def test_what_cannot_be_exported_is_known_before_training(monkeypatch, caplog):
    assert check_export(Named("deberta-v2")) == "deberta-v2 is exported by a writer of its own"
    with pytest.raises(PreflightError, match="longformer models cannot be exported: .* texts of one length alone"):
        check_export(Named("longformer"))
    assert "longformer is not among the encoders that are tested" in caplog.text
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert check_export(Named("bert")) == "not checked for bert: optimum, which exports it, is not installed here"


def test_what_optimum_does_not_know_cannot_be_exported():
    optimum_or_skip()
    for kind in ("ernie", "xmod"):
        with pytest.raises(PreflightError, match=f"{kind} models cannot be exported: optimum does not know them"):
            check_export(Named(kind))
    for kind in TESTED:
        assert kind in check_export(Named(kind))
