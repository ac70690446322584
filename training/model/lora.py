"""Low-rank updates of the encoder, merged into its weights at the end."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from peft import LoraConfig, PeftModel
from torch import nn
from transformers import PreTrainedModel

from shared.errors import ConfigError
from shared.modeling.checkpoints import head_modules
from training.config import TuningConfig

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
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # a float works and is saved as one
        lora_dropout=config.dropout,
        target_modules=_pattern(encoder, names),
        exclude_modules="|".join(f"{re.escape(name)}(\\..*)?" for name in full),
        modules_to_save=full,
        bias="none",
    )


def merged(model: nn.Module) -> PreTrainedModel:
    """The classifier with its updates merged into the weights; unchanged when there are none."""
    if not isinstance(model, PeftModel):
        return model  # type: ignore[return-value]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # peft warns of tied weights that no encoder here has
        plain: PreTrainedModel = model.merge_and_unload()
        return plain


def _pattern(encoder: str, names: Sequence[str]) -> str:
    return rf"{re.escape(encoder)}\..*\.({'|'.join(re.escape(name) for name in names)})"


def _within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")
