"""Where in the network a weight stands: embeddings, one of the encoder's layers from bottom to top, or the head."""

from __future__ import annotations

from dataclasses import dataclass

from peft import PeftModel
from torch import nn

from shared.errors import ConfigError
from shared.modeling.classifier import head_modules


@dataclass(frozen=True)
class Depths:
    """The encoder's layers from bottom to top and the modules of the head."""

    layers: tuple[nn.Module, ...]
    head: tuple[nn.Module, ...]
    by_weight: dict[int, int]
    """Depth by `id` of a weight: 0 embeddings and what all layers share, 1..n the layers, n + 1 the head."""

    @property
    def top(self) -> int:
        """Depth of the head."""
        return len(self.layers) + 1

    def of(self, weight: nn.Parameter) -> int:
        """Depth of a weight."""
        return self.by_weight.get(id(weight), 0)

    def name(self, depth: int) -> str:
        """Depth in words; layers count from 0, as in the names of the weights."""
        return "embeddings" if depth == 0 else "head" if depth == self.top else f"layer {depth - 1}"


def find_depths(model: nn.Module) -> Depths:
    """Layers and head of a classifier, with or without LoRA.

    Raises:
        ConfigError: when the encoder is no stack of layers, as where all share one layer's weights.
    """
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    count = int(base.config.num_hidden_layers)  # type: ignore[union-attr,arg-type]
    encoder = getattr(base, str(base.base_model_prefix))
    stacks = [m for m in encoder.modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    if not stacks:
        kind = base.config.model_type  # type: ignore[union-attr]
        raise ConfigError(
            f"this {kind} encoder has no stack of {count} layers, so options by layer do not apply.",
            hint="Leave tuning.top_layers, tuning.unfreeze, optim.layer_decay and the graded dropout out.",
        )
    layers, head = tuple(stacks[0]), _head_of(base)
    depths = {id(w): depth for depth, layer in enumerate(layers, 1) for w in layer.parameters()}
    depths |= {id(w): count + 1 for module in head for w in module.parameters()}
    return Depths(layers, head, depths)


def find_head(model: nn.Module) -> Depths:
    """The head alone, with or without LoRA: everything below it counts as embeddings."""
    head = _head_of(model.get_base_model() if isinstance(model, PeftModel) else model)
    return Depths((), head, {id(weight): 1 for module in head for weight in module.parameters()})


def _head_of(base: nn.Module) -> tuple[nn.Module, ...]:
    return tuple(base.get_submodule(name) for name in head_modules(base))  # type: ignore[arg-type]
