"""Where weights stand, in several architectures, with LoRA and without."""

from __future__ import annotations

import re

import pytest
from transformers import AlbertConfig, AlbertForSequenceClassification

from shared.errors import ConfigError
from shared.modeling.classifier import build_classifier
from tests.helpers import tiny_checkpoint
from training.config import TuningConfig
from training.model.layers import find_depths
from training.model.tuning import apply_tuning

LABELS = ("joy", "anger", "fear")


@pytest.mark.parametrize(
    ("family", "pooling"), [("deberta-v2", "cls"), ("deberta-v2", "mean"), ("bert", "cls"), ("roberta", "cls")]
)
def test_every_weight_stands_somewhere(tmp_path, family, pooling):
    model = build_classifier(tiny_checkpoint(tmp_path, family=family, num_layers=3), labels=LABELS, pooling=pooling)
    depths = find_depths(model)
    assert depths.top == 4
    for name, weight in model.named_parameters():
        layer = re.search(r"\.layer\.(\d+)\.", name)
        in_head = any(part in name for part in ("classifier", "pooler"))
        assert depths.of(weight) == (int(layer[1]) + 1 if layer else 4 if in_head else 0), name


def test_names_count_layers_from_zero(tmp_path):
    depths = find_depths(build_classifier(tiny_checkpoint(tmp_path), labels=LABELS, pooling="cls"))
    assert [depths.name(depth) for depth in range(4)] == ["embeddings", "layer 0", "layer 1", "head"]


def test_low_rank_updates_stand_where_their_layers_do(tiny_model):
    model = build_classifier(tiny_model, labels=LABELS, pooling="cls")
    tuned = apply_tuning(model, TuningConfig(method="lora", rank=2))
    depths = find_depths(tuned)
    found = {name: depths.of(weight) for name, weight in tuned.named_parameters() if weight.requires_grad}
    assert {depth for name, depth in found.items() if "lora_" in name} == {1, 2}
    assert {depth for name, depth in found.items() if "lora_" not in name} == {3}


def test_an_encoder_that_shares_one_layer_is_refused():
    config = AlbertConfig(
        vocab_size=20, hidden_size=8, embedding_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=8
    )
    with pytest.raises(ConfigError, match="albert encoder has no stack of 3 layers"):
        find_depths(AlbertForSequenceClassification(config))
