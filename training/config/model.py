"""Sections of the model: encoder and head, and which of their weights are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from training.config.types import Dropout, NonNegativeInt, PositiveFloat, PositiveInt


@dataclass(frozen=True)
class ModelConfig:
    """The encoder and the classification head."""

    name: str = "starter"
    """Encoder: "starter" (22.8M, needs no download), "starter-base" (109M, the extra `base`), a folder, or a name on
    the hub such as microsoft/deberta-v3-base."""
    pooling: Literal["auto", "cls", "mean"] = "auto"
    """How tokens become one vector: "cls" first token (native class), "mean" of all; "auto" = mean for the starters."""
    keep_head: bool = False
    """Go on from the checkpoint's own head, where `name` is a bundle with the labels of this run, instead of a new one;
    the other keys of the head have no effect then."""
    head_width: PositiveInt | None = None
    """Width of the head's hidden layer; the encoder's width when left out."""
    head_activation: Literal["auto", "gelu", "tanh", "none"] | None = "auto"
    """Activation of the head's hidden layer; "none": no hidden layer (mean pooling only); null: gelu, or what the
    architecture's own head has; "auto" = none for the starters, else null."""
    head_dropout: Dropout | None = None
    """Dropout probability before the output layer; 0.1 when left out. With cls pooling only of architectures whose head
    has one of its own (DeBERTa, BERT, RoBERTa, ELECTRA, DistilBERT, ALBERT, ModernBERT; not MPNet)."""
    hidden_dropout: Dropout | None = None
    """Dropout probability of the encoder's hidden states; as in the checkpoint when left out."""
    attention_dropout: Dropout | None = None
    """Dropout probability of attention weights; as in the checkpoint when left out."""
    bottom_dropout: Dropout | None = None
    """Dropout probability of hidden states in the lowest layer, in place of hidden_dropout; needs top_dropout too."""
    top_dropout: Dropout | None = None
    """The same in the highest layer; the layers between change linearly from one to the other."""
    fast_attention: bool = True
    """Compute DeBERTa's attention in its faster, equal form."""


@dataclass(frozen=True)
class TuningConfig:
    """Which weights are trained."""

    method: Literal["full", "lora", "partial", "progressive"] = "full"
    """"full" trains every weight; "lora" low-rank updates (Hu et al. 2021), the pooler and the head; "partial" the top
    layers and the head; "progressive" the same at first, then layer after layer downwards (Howard and Ruder 2018)."""
    rank: PositiveInt = 16
    """LoRA: rank r of the updates."""
    alpha: PositiveFloat = 32.0
    """LoRA: updates are scaled by alpha / rank."""
    dropout: Dropout = 0.05
    """LoRA: dropout probability before the updates."""
    targets: list[str] | None = None
    """LoRA: names of the linear layers to update; attention and feed-forward of the encoder when left out."""
    top_layers: NonNegativeInt = 2
    """Partial, progressive: layers trained besides the head, counted from the top; 0 trains the head alone."""
    train_pooler: bool = True
    """Partial: train the pooler that some encoders have inside (BERT); a new one is part of the head."""
    unfreeze: Literal["schedule", "plateau"] = "schedule"
    """Progressive: unfreeze every so many epochs, or after so many evaluations without a better macro F1 on dev."""
    unfreeze_every: PositiveFloat = 1.0
    """Progressive: epochs, or evaluations, between two stages; after the lowest layer come the embeddings."""
    unfreeze_layers: PositiveInt = 1
    """Progressive: layers that each stage adds."""
