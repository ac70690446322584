"""Which weights are trained: all of them, the top of the network, or low-rank updates merged at the end."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from shared.errors import ConfigError
from shared.modeling.checkpoints import head_modules
from training.config import TuningConfig
from training.partial import train_top_layers
from training.unfreezing import UnfreezeCallback

TARGETS = {
    "deberta": ("in_proj", "dense"),
    "deberta-v2": ("query_proj", "key_proj", "value_proj", "dense"),
    "distilbert": ("q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"),
    "mpnet": ("q", "k", "v", "o", "dense"),
    "modernbert": ("Wqkv", "Wo", "Wi"),
}
"""Linear layers of attention and feed-forward, by architecture."""
BERT_TARGETS = ("query", "key", "value", "dense")
"""The same for BERT, RoBERTa, ELECTRA and the other architectures that share BERT's names."""


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
        ConfigError: when the encoder has fewer layers than asked for, or for a part of an evaluation.
    """
    if config.unfreeze == "plateau" and config.unfreeze_every % 1:
        raise ConfigError(
            f"tuning.unfreeze_every is {config.unfreeze_every}; with tuning.unfreeze plateau it counts evaluations and "
            "must be a whole number."
        )
    return UnfreezeCallback(
        model,
        start=config.top_layers,
        layers=config.unfreeze_layers,
        on=config.unfreeze,
        every=config.unfreeze_every,
    )


def lora_config(model: PreTrainedModel, config: TuningConfig) -> LoraConfig:
    """LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685) on the encoder; head and pooler are trained in full.

    Raises:
        ConfigError: when the encoder has no layer of the names given.
    """
    encoder = model.base_model_prefix
    names = tuple(config.targets) if config.targets else TARGETS.get(model.config.model_type, BERT_TARGETS)
    full = head_modules(model)
    linear = [
        name for name, module in model.named_modules() if isinstance(module, nn.Linear) and _within(name, encoder)
    ]
    linear = [name for name in linear if not any(_within(name, head) for head in full)]
    if not any(name.rsplit(".", 1)[-1] in names for name in linear):
        there = sorted({name.rsplit(".", 1)[-1] for name in linear})
        raise ConfigError(
            f"tuning.targets {', '.join(names)} are not in this {model.config.model_type} encoder; "
            f"its linear layers are {', '.join(sorted(there))}."
        )
    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # a float works and is saved as one
        lora_dropout=config.dropout,
        target_modules=_pattern(encoder, names),
        exclude_modules="|".join(f"{re.escape(name)}(\\..*)?" for name in full),
        modules_to_save=full,
        bias="none",
    )


def load_tuned(model: PreTrainedModel, checkpoint: Path) -> nn.Module:
    """A freshly built classifier with the weights of a training checkpoint: adapter, or all of them."""
    if (checkpoint / "adapter_config.json").is_file():
        return PeftModel.from_pretrained(model, str(checkpoint))
    from safetensors.torch import load_model  # noqa: PLC0415  (needs no import where an adapter is loaded)

    load_model(model, checkpoint / "model.safetensors")
    return model


def merged(model: nn.Module) -> PreTrainedModel:
    """The classifier with its updates merged into the weights; unchanged when there are none."""
    if not isinstance(model, PeftModel):
        return model  # type: ignore[return-value]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # peft warns of tied weights that no encoder here has
        plain: PreTrainedModel = model.merge_and_unload()
        return plain


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Numbers of trainable and of all parameters."""
    counts: list[tuple[bool, int]] = [(weight.requires_grad, weight.numel()) for weight in model.parameters()]
    return sum(count for trainable, count in counts if trainable), sum(count for _, count in counts)


def _pattern(encoder: str, names: Sequence[str]) -> str:
    return rf"{re.escape(encoder)}\..*\.({'|'.join(re.escape(name) for name in names)})"


def _within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def trainable_state(model: nn.Module) -> dict[str, Any]:
    """Copies of all trainable tensors, by name."""
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}
