"""Random DeBERTas small enough to compare in every way, and what it means that two of them agree."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import DebertaV2Config

WIDTH = 32
BOTH = ["p2c", "c2p"]


def config_of(*, dropout: float = 0.0, **options: Any) -> DebertaV2Config:
    """Two layers; weights ten times as large as usual, so that relative positions matter."""
    fields: dict[str, Any] = {
        "vocab_size": 60, "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 48, "max_position_embeddings": 512, "relative_attention": True, "position_buckets": 32,
        "share_att_key": True, "pos_att_type": BOTH, "norm_rel_ebd": "layer_norm", "type_vocab_size": 0,
        "position_biased_input": False, "initializer_range": 0.2, "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
    }  # fmt: skip
    return DebertaV2Config(**{**fields, **options})


def spread_biases(model: nn.Module) -> None:
    """Biases are zero at first, which would hide the terms that hold them."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.3)


def gradients_of(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the gradients of the last backward pass, of the parameters that have one."""
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same_gradients(expected: dict[str, Tensor], actual: dict[str, Tensor], tolerance: float = 1e-4) -> None:
    """Every gradient within `tolerance` of its layer's largest."""
    for name, grad in expected.items():
        # a key's bias has a gradient of zero or nearly so, hence the scale of the weight beside it
        scale = max(grad.abs().max(), expected.get(name.replace("bias", "weight"), grad).abs().max())
        if scale == 0:  # a token that sees itself alone: queries and keys change nothing, kernels leave a rounding
            layer = name.partition(".attention.")[0]
            scale = max(other.abs().max() for key, other in expected.items() if key.startswith(layer))
        assert (grad - actual[name]).abs().max() <= tolerance * scale, name


def random_weights(output: Tensor) -> Tensor:
    """Of a loss in which every element counts for something else; always the same."""
    return torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(output.dtype)
