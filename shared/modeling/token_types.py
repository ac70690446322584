"""Token types of rows with previous turns, for encoders that have them: 0 up to the first separator, 1 behind it.

They are a function of the token ids, so that every row stays ids and mask alone, from the cache to the exported model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

KEY = "segment_separator_id"
"""In `config.json`: id of the token between the segments."""


def has_token_types(model: PreTrainedModel) -> bool:
    """Whether the encoder tells a second segment apart by its token type."""
    return int(getattr(model.config, "type_vocab_size", 0) or 0) >= 2


def use_token_types(model: PreTrainedModel, separator: int | None = None) -> None:
    """Have the encoder of a classifier given token types with its ids, and `config.json` say so.

    Args:
        model: whose encoder is given them from now on; nothing changes where it has none.
        separator: id of the token between the segments; that of the model's configuration when None, which may say
            none.
    """
    known = getattr(model.config, KEY, None)
    chosen = known if separator is None else separator
    if chosen is None or not has_token_types(model) or getattr(model, "_token_types_from", None) == chosen:
        return
    setattr(model.config, KEY, chosen)
    setattr(model, "_token_types_from", chosen)  # noqa: B010  (no declared attribute)

    def add(
        _encoder: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        ids = inputs[0] if inputs else named.get("input_ids")
        if ids is None or named.get("token_type_ids") is not None:
            return inputs, named
        return inputs, named | {"token_type_ids": token_types(ids, chosen)}

    model.base_model.register_forward_pre_hook(add, with_kwargs=True)


def token_types(ids: Tensor, separator: int) -> Tensor:
    """Token types, shape (N, T), of token ids of the same shape."""
    seen = (ids == separator).long()
    return ((torch.cumsum(seen, dim=1) - seen) > 0).long()
