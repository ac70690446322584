"""Which weights partial tuning trains, with the counts of BERT-base."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from shared.errors import ConfigError
from shared.modeling.classifier import build_classifier
from training.model.partial import train_top_layers
from training.model.tuning import count_parameters


def bert_base() -> BertForSequenceClassification:
    """BERT-base with 28 labels, without memory for its weights."""
    with torch.device("meta"):
        return BertForSequenceClassification(BertConfig(num_labels=28))


def test_layer_11_and_classifier_of_bert_base():
    model = bert_base()
    train_top_layers(model, 1, pooler=False)
    trainable, total = count_parameters(model)
    assert (trainable, total) == (7_109_404, 109_503_772)
    assert round(100 * trainable / total, 2) == 6.49
    assert all(
        weight.requires_grad == name.startswith(("bert.encoder.layer.11.", "classifier."))
        for name, weight in model.named_parameters()
    )


def test_with_the_pooler_of_bert_base():
    model = bert_base()
    train_top_layers(model, 1)
    assert count_parameters(model)[0] == 7_699_996


def test_no_layer_leaves_the_head(tiny_model):
    model = build_classifier(tiny_model, labels=("joy", "anger"), pooling="cls")
    train_top_layers(model, 0, pooler=False)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {"pooler.dense.weight", "pooler.dense.bias", "classifier.weight", "classifier.bias"}


def test_all_layers_leave_the_embeddings_frozen(tiny_model):
    model = build_classifier(tiny_model, labels=("joy", "anger"), pooling="mean")
    train_top_layers(model, 2)
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    assert frozen
    assert all("embeddings" in name or name.startswith("deberta.encoder.LayerNorm") for name in frozen)


def test_only_the_trained_weights_move(tiny_model):
    model = build_classifier(tiny_model, labels=("joy", "anger"), pooling="cls")
    train_top_layers(model, 1)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2)
    model(torch.tensor([[1, 20, 21, 2]]), torch.ones(1, 4, dtype=torch.long)).logits.square().sum().backward()
    optimizer.step()
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == {name for name, weight in model.named_parameters() if weight.requires_grad}


def test_more_layers_than_there_are_is_refused(tiny_model):
    model = build_classifier(tiny_model, labels=("joy", "anger"), pooling="cls")
    with pytest.raises(ConfigError, match=r"tuning\.top_layers is 3; this encoder has 2 layers"):
        train_top_layers(model, 3)
