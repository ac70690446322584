"""Layers through torch.compile: the same function in few kernels, for devices that wait for launches.

A layer is compiled once for every shape of its batches, and all layers of a model share it. Lengths are padded to a
multiple, so that there are few: at most `2 * ceil(max_length / multiple)`, a full batch and an epoch's last one of each
length. Evaluation runs the plain layers, whose batches have other sizes. What cannot be compiled runs as it is, with a
warning. Compiled code is kept in the cache folder, so that the next run starts at once.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from shared.environment import cache_root
from shared.modeling.device import is_out_of_memory
from shared.modeling.hub import first_line
from training.model.layers import find_depths

log = logging.getLogger("training")

MULTIPLE = 16
"""Lengths are padded to multiples of this, which tensor cores like."""
CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
"""Names the folder of compiled code; ours is used where it names none."""
GRAPHS_OF_A_SHAPE = 4
"""With and without a mask on a CPU, and where embeddings are frozen one for the lowest layer, one for the others."""


def largest_number_of_shapes(max_length: int) -> int:
    """Shapes that a layer can be compiled for."""
    return 2 * -(-max_length // MULTIPLE)


@dataclass
class CompiledLayers:
    """What the compiled layers of a model have met.

    Attributes:
        limit: most shapes that are compiled; further ones run through the plain layers.
        shapes: those compiled so far.
        plain: shapes beyond the limit.
        failure: why the compiler was given up, None while it works.
    """

    limit: int
    shapes: set[tuple[int, ...]] = field(default_factory=set)
    plain: set[tuple[int, ...]] = field(default_factory=set)
    failure: str | None = None

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether a batch of this shape runs through the compiled layers."""
        if self.failure is not None:
            return False
        if shape not in self.shapes and len(self.shapes) >= self.limit:
            if shape not in self.plain:
                log.warning("Layers are compiled for %d shapes, the most allowed: %s runs plain.", self.limit, shape)
            self.plain.add(shape)
            return False
        self.shapes.add(shape)
        return True

    def give_up(self, error: Exception) -> None:
        """Go on with the plain layers."""
        self.failure = first_line(getattr(error, "inner_exception", error))
        log.warning(
            "The compiler failed, so training goes on through the PLAIN layers, as with optim.compile none: %s",
            self.failure,
        )

    def summary(self) -> str:
        """What was reached, for the log."""
        if self.failure is not None:
            return f"Layers ran plain: the compiler failed ({self.failure})."
        beyond = f"; {len(self.plain)} more ran plain" if self.plain else ""
        return f"Layers were compiled for {len(self.shapes)} shapes, at most {self.limit} were allowed{beyond}."


def compile_layers(model: nn.Module, max_length: int, *, stages: int = 1) -> CompiledLayers:
    """Compile every layer of the encoder, in place; weights and their names stay.

    Args:
        model: a classifier, with or without LoRA.
        max_length: most tokens of a row.
        stages: how often other weights are trained, each of which compiles anew.

    Raises:
        ConfigError: when the encoder is no stack of layers.
    """
    met = CompiledLayers(largest_number_of_shapes(max_length))
    layers = find_depths(model).layers
    folder = _keep_compiled_code()
    import torch._dynamo as dynamo  # noqa: PLC0415  (loads the compiler)

    most = GRAPHS_OF_A_SHAPE * met.limit * stages + 1
    dynamo.config.recompile_limit = max(dynamo.config.recompile_limit, most)
    dynamo.config.accumulated_recompile_limit = max(dynamo.config.accumulated_recompile_limit, most)
    dynamo.config.fail_on_recompile_limit_hit = True  # or layers would run uncompiled without a word
    for layer in layers:
        if not isinstance(layer._compiled_call_impl, _WhileTraining):
            layer.compile(dynamic=False)
        layer._compiled_call_impl = _WhileTraining(layer, layer._compiled_call_impl, met)
    log.info(
        "Layers are compiled, for at most %d shapes (lengths in steps of %d)%s: the first step of each takes longer. "
        "Compiled code is kept in %s.",
        met.limit, MULTIPLE, f" in each of {stages} stages" if stages > 1 else "", folder,
    )  # fmt: skip
    return met


def _keep_compiled_code() -> str:
    """The folder of compiled code: the one that was asked for, else ours, which a restart does not empty."""
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir  # noqa: PLC0415  (loads the compiler)

    if os.environ.get(CACHE_VARIABLE) in (None, default_cache_dir()):  # which an import may have set
        os.environ[CACHE_VARIABLE] = str(cache_root() / "compiled")
    return os.environ[CACHE_VARIABLE]


class _WhileTraining:
    """Calls a layer compiled in training, and plain otherwise."""

    def __init__(self, layer: nn.Module, compiled: Any, met: CompiledLayers) -> None:
        self.layer = layer
        self.compiled: Any = compiled.compiled if isinstance(compiled, _WhileTraining) else compiled
        self.met = met

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        plain: Any = self.layer._call_impl
        if not self.layer.training or not torch.is_grad_enabled():
            return plain(*inputs, **options)
        states = next(value for value in (*inputs, *options.values()) if isinstance(value, Tensor))
        if not self.met.takes(tuple(states.shape)):
            return plain(*inputs, **options)
        from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException  # noqa: PLC0415  (see above)

        try:
            return self.compiled(*inputs, **options)
        except (TorchDynamoException, FailOnRecompileLimitHit) as error:
            if is_out_of_memory(error):
                raise
            self.met.give_up(error)
            return plain(*inputs, **options)
