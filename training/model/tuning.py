"""Which weights are trained: all of them, the top of the network, or low-rank updates merged at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft import PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel, set_seed

from shared.errors import ConfigError
from training.config import Config, TuningConfig
from training.data.corpus import Splits, label_frequencies
from training.model.classifier import build_model
from training.model.cumulative import make_cumulative, starting_cuts
from training.model.lora import lora_config
from training.model.partial import train_top_layers
from training.model.unfreezing import UnfreezeCallback


def build_tuned(config: Config, data: Splits) -> nn.Module:
    """The classifier for the labels of `data`, with the weights to be trained set trainable; seeded by `run.seed`.

    Raises:
        ModelNotFoundError: when the checkpoint cannot be reached.
        ConfigError: when an option does not fit the architecture.
    """
    set_seed(config.run.seed)
    return apply_tuning(_new_model(config, data), config.tuning)


def _new_model(config: Config, data: Splits) -> PreTrainedModel:
    """The classifier for the labels of `data`, untrained, with a cumulative link where the loss is ordinal.

    Raises:
        ConfigError: when the scale of the intensities is not ordinal.
    """
    model = build_model(config, data.labels.names, label_frequencies(data.train))
    if config.loss.ordinal:
        levels = data.scale.num_levels if data.scale else None
        if levels is None:
            raise ConfigError(
                f"loss.name is {config.loss.name}, for ordinal scales, and the intensities are continuous "
                f"({data.scale}).",
                hint="Use --loss.name bce or mse.",
            )
        if levels < 3:
            raise ConfigError(
                f"loss.name is {config.loss.name}, and the scale ({data.scale}) has two levels.",
                hint="Use --loss.name bce.",
            )
        make_cumulative(model, starting_cuts(data.train, levels))
    return model


def apply_tuning(model: PreTrainedModel, config: TuningConfig) -> nn.Module:
    """The model with the weights to be trained set trainable.

    Args:
        model: a classifier.
        config: method and options.

    Raises:
        ConfigError: when LoRA finds none of its target layers, or the encoder has fewer layers than asked for.
    """
    # or transformers 5 scales the loss by world size and accumulation steps; peft hands the attribute on
    model.accepts_loss_kwargs = False  # type: ignore[assignment]
    if config.method == "lora":
        # peft would look the name up on the hub and, for added tokens, write all embeddings into every checkpoint;
        # a rebuilt classifier has the same ones
        model.name_or_path = ""
        return get_peft_model(model, lora_config(model, config))
    if config.method == "partial":
        train_top_layers(model, config.top_layers, pooler=config.train_pooler)
    return model  # progressive unfreezing begins with the training, when the optimiser has all weights


def build_unfreezing(model: nn.Module, config: TuningConfig) -> UnfreezeCallback:
    """Progressive unfreezing as configured.

    Raises:
        ConfigError: when the encoder has fewer layers than asked for.
    """
    return UnfreezeCallback(
        model,
        start=config.top_layers,
        layers=config.unfreeze_layers,
        on=config.unfreeze,
        every=config.unfreeze_every,
    )


def build_from(checkpoint: Path, config: Config, data: Splits) -> nn.Module:
    """The classifier for the labels of `data` with the weights of a training checkpoint, whole and on the CPU."""
    return load_tuned(_new_model(config, data), checkpoint)


def load_tuned(model: PreTrainedModel, checkpoint: Path) -> nn.Module:
    """A freshly built classifier with the weights of a training checkpoint: adapter, or all of them."""
    if (checkpoint / "adapter_config.json").is_file():
        return PeftModel.from_pretrained(model, str(checkpoint))
    from safetensors.torch import load_model  # noqa: PLC0415  (needs no import where an adapter is loaded)

    load_model(model, checkpoint / "model.safetensors")
    return model


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Numbers of trainable and of all parameters."""
    counts: list[tuple[bool, int]] = [(weight.requires_grad, weight.numel()) for weight in model.parameters()]
    return sum(count for trainable, count in counts if trainable), sum(count for _, count in counts)


def trainable_state(model: nn.Module) -> dict[str, Any]:
    """Copies of all trainable tensors, by name."""
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}
