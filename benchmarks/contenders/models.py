"""Models to measure: random weights in the shapes of real encoders, or a bundle's. What was learned costs no time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.contenders.contender import Batch, Workbench
from shared.bundle import Bundle
from shared.labels import GOEMOTIONS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FIRST_TEXT_ID = 5
"""Ids below are special in every vocabulary used here."""


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a DeBERTa-v2."""

    name: str  # as in reports
    layers: int
    width: int  # D, of the states
    heads: int  # H
    inner: int  # width of the feed-forward layer
    vocabulary: int  # a smaller one saves time and memory and changes no product
    v3: bool = True  # normalised relative embeddings and no absolute positions; the starter has the opposite

    @property
    def title(self) -> str:
        """What reports call it."""
        sizes = f"{self.layers} layers, {self.width} wide, {self.heads} heads, {self.vocabulary:,} token ids"
        return f"a DeBERTa of the size of {self.name}, random weights ({sizes})"


V3_SMALL = ModelShape("deberta-v3-small", 6, 768, 12, 3072, vocabulary=8000)
V3_BASE = ModelShape("deberta-v3-base", 12, 768, 12, 3072, vocabulary=128_100)
STARTER = ModelShape("starter", 6, 384, 12, 1536, vocabulary=30_522, v3=False)
TINY = ModelShape("tiny", 2, 32, 2, 64, vocabulary=100)
SHAPES = {shape.name: shape for shape in (V3_SMALL, V3_BASE, STARTER, TINY)}


def random_model(shape: ModelShape, seed: int = 0) -> PreTrainedModel:
    """A classifier over the 28 GoEmotions labels with Hugging Face's own attention and random weights, in float32."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.for_model(
        "deberta-v2", vocab_size=shape.vocabulary, hidden_size=shape.width, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, intermediate_size=shape.inner, relative_attention=True, position_buckets=256,
        max_relative_positions=-1, share_att_key=True, pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm" if shape.v3 else "none", position_biased_input=not shape.v3,
        type_vocab_size=0 if shape.v3 else 2, layer_norm_eps=1e-7, pooler_hidden_size=shape.width, pooler_dropout=0,
        num_labels=len(GOEMOTIONS), id2label=dict(enumerate(GOEMOTIONS)),
        label2id={label: index for index, label in enumerate(GOEMOTIONS)}, problem_type="multi_label_classification",
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            _enliven(dict(model.named_parameters()))
    model.train(False)
    return model


def _enliven(parameters: dict[str, object]) -> None:
    """Spread what the initialiser leaves at zero or tiny, so that a mistake in any part shows in the logits."""
    import torch

    for name, parameter in parameters.items():
        if not isinstance(parameter, torch.Tensor) or "LayerNorm" in name:
            continue
        if "rel_embeddings" in name:
            parameter.normal_(0, 0.5)
        elif name == "classifier.weight":
            parameter.normal_(0, 0.2)
        elif parameter.dim() == 1:
            parameter.normal_(0, 0.02)


def random_batch(batch: int, length: int, vocabulary: int, seed: int = 0) -> Batch:
    """Random ids of shape (batch, length), no padding."""
    ids = np.random.default_rng(seed).integers(FIRST_TEXT_ID, vocabulary, (batch, length), dtype=np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def padded_batch(lengths: tuple[int, ...], vocabulary: int, seed: int = 0) -> Batch:
    """Random ids of rows of these lengths, padded to the longest, for comparing results."""
    batch = random_batch(len(lengths), max(lengths), vocabulary, seed)
    for row, length in enumerate(lengths):
        batch["input_ids"][row, length:] = 0
        batch["attention_mask"][row, length:] = 0
    return batch


@dataclass(frozen=True)
class Subject:
    """What is measured."""

    bench: Workbench  # where contenders find it
    vocabulary: int  # how many token ids it has
    title: str  # what reports call it


def random_subject(shape: ModelShape, made: Path) -> Subject:
    """A random model of this shape; its files are made below `made`."""
    root = made / shape.name
    checkpoint = Workbench(root, root).prepared("checkpoint", random_model(shape).save_pretrained)
    return Subject(Workbench(checkpoint, root), shape.vocabulary, shape.title)


def bundle_subject(path: Path, made: Path) -> Subject:
    """A bundle's model; our contenders run the bundle's own exports.

    Raises:
        BundleError: when it cannot be read.
    """
    bundle = Bundle.read(path)
    bench = Workbench(bundle.path, made / "bundle", bundle.path)
    return Subject(bench, bundle.tokenizer().vocab_size, f"the model of {path}")
