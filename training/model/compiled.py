"""Layers through torch.compile: the same function in few kernels, for devices that wait for launches.

A layer is compiled once for every shape of its batches, and all layers of a model share it. Lengths are padded to a
multiple, so that there are few: at most `2 * ceil(max_length / multiple)`, a full batch and an epoch's last one of each
length. Evaluation runs the plain layers, whose batches have other sizes.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import nn

from training.model.layers import find_depths

log = logging.getLogger("training")

MULTIPLE = 16
"""Lengths are padded to multiples of this, which tensor cores like."""


def largest_number_of_shapes(max_length: int) -> int:
    """Shapes that a layer can be compiled for."""
    return 2 * -(-max_length // MULTIPLE)


def compile_layers(model: nn.Module, max_length: int) -> int:
    """Compile every layer of the encoder, in place; weights and their names stay. How many shapes there can be.

    Args:
        model: a classifier, with or without LoRA.
        max_length: most tokens of a row.

    Raises:
        ConfigError: when the encoder is no stack of layers.
    """
    shapes = largest_number_of_shapes(max_length)
    import torch._dynamo as dynamo  # noqa: PLC0415  (loads the compiler)

    # beyond the limit layers would quietly run uncompiled; of each shape there may be four graphs: on a CPU with and
    # without a mask, and where the embeddings are frozen one for the lowest layer and one for the others
    dynamo.config.recompile_limit = max(dynamo.config.recompile_limit, 4 * shapes + 1)
    for layer in find_depths(model).layers:
        if layer._compiled_call_impl is None:
            layer.compile(dynamic=False)
            layer._compiled_call_impl = _while_training(layer, layer._compiled_call_impl)
    log.info(
        "Layers are compiled, for at most %d shapes (lengths in steps of %d): the first step of each takes longer.",
        shapes, MULTIPLE,
    )  # fmt: skip
    return shapes


def _while_training(layer: nn.Module, compiled: Any) -> Any:
    def call(*inputs: Any, **options: Any) -> Any:
        run = compiled if layer.training and torch.is_grad_enabled() else layer._call_impl
        return run(*inputs, **options)

    return call
