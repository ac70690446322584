"""The classifier and its tokenizer, as the configuration asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedModel

from shared.errors import ConfigError
from shared.labels import label_difference
from shared.modeling.checkpoints import longest_input
from shared.modeling.classifier import HeadOptions, build_classifier, load_classifier
from shared.modeling.starters import is_starter
from shared.modeling.token_types import use_token_types
from shared.modeling.tokenizer_files import EXTRA_TOKENS, load_tokenizer_json
from shared.tokenizer import TextTokenizer
from training.config import Config, ModelConfig
from training.model.layerwise_dropout import set_layerwise_dropout


@dataclass(frozen=True)
class TokenizerPair:
    """A checkpoint's tokenizer: as it is saved in the bundle, and with the truncation of this run."""

    source: Tokenizer
    tokens: TextTokenizer


def build_tokenizer(config: Config) -> TokenizerPair:
    """The tokenizer of the checkpoint with the truncation of `config`.

    Raises:
        ModelNotFoundError: when the checkpoint cannot be reached.
        ConfigError: when max_length and head_tokens do not fit together.
    """
    source = load_tokenizer_json(config.model.name, extra_tokens=EXTRA_TOKENS)
    data = config.data
    tokens = TextTokenizer(
        source, max_length=data.max_length, head_tokens=data.head_tokens, normalisation=data.normalisation,
        context=data.context,
    )  # fmt: skip
    return TokenizerPair(source, tokens)


def build_model(config: Config, labels: Sequence[str], frequencies: NDArray[np.float64]) -> PreTrainedModel:
    """The classifier with a new head for `labels`, or with `model.keep_head` that of a bundle, in float32.

    Args:
        config: the whole configuration.
        labels: names of the L labels.
        frequencies: share of the training rows that carry each label, shape (L,).

    Raises:
        ModelNotFoundError: when the checkpoint cannot be reached.
        ConfigError: when an option does not fit the architecture.
    """
    options = config.model
    if options.keep_head:
        return _with_segments(_continued(config, labels), config)
    model = build_classifier(
        options.name,
        labels=labels,
        pooling=pooling_of(options),  # type: ignore[arg-type]
        head=HeadOptions(
            width=options.head_width,
            activation=head_activation_of(options),
            dropout=options.head_dropout,
        ),
        task=config.task.value,
        extra_tokens=EXTRA_TOKENS,
        hidden_dropout=options.hidden_dropout,
        attention_dropout=options.attention_dropout,
        fast_attention=options.fast_attention,
    )
    _check_length(model, config.data.max_length)
    _set_dropout_by_layer(model, options)
    start_head(model, frequencies)
    return _with_segments(model, config)


def _with_segments(model: PreTrainedModel, config: Config) -> PreTrainedModel:
    """The model, which is given token types where rows have previous turns and it has such types."""
    if config.data.context is not None:
        use_token_types(model, build_tokenizer(config).tokens.segment_separator)
    return model


def _continued(config: Config, labels: Sequence[str]) -> PreTrainedModel:
    """A bundle's classifier with its head, for the task and with the dropout of this run.

    Raises:
        ConfigError: when it has other labels, or another pooling.
    """
    options = config.model
    model = load_classifier(
        options.name,
        task=config.task.value,
        hidden_dropout=options.hidden_dropout,
        attention_dropout=options.attention_dropout,
        fast_attention=options.fast_attention,
    )
    names = model.config.id2label or {}
    own = [str(names.get(number)) for number in range(model.config.num_labels)]
    if own != list(labels):
        raise ConfigError(
            f"model.keep_head: {options.name} has other labels than this run "
            f"({label_difference(own, labels, (options.name, 'data.labels'))}).",
            hint="Name the labels of the bundle, in their order, as data.labels.",
        )
    pooling = getattr(model.config, "pooling", "cls")
    if pooling != pooling_of(options):
        raise ConfigError(
            f"model.keep_head: {options.name} has the pooling {pooling}.", hint=f"Say --model.pooling {pooling}"
        )
    _check_length(model, config.data.max_length)
    _set_dropout_by_layer(model, options)
    return model


def start_head(model: PreTrainedModel, frequencies: NDArray[np.float64]) -> None:
    """Let a new head pass its input on at full strength and begin at the labels' frequencies.

    Weights are normal with variance 1 / inputs (LeCun et al. 1998, Efficient BackProp, section 4.6): with the 0.02 of
    the encoders two layers in a row shrink the signal so far that training first learns the biases and nothing else.
    The output bias is the log odds of the frequencies (Lin et al. 2017, https://arxiv.org/abs/1708.02002, section 4.1).

    Args:
        model: a classifier; its encoder is left as it is.
        frequencies: shape (L,).
    """
    shares = np.clip(frequencies, 1e-4, 1 - 1e-4)
    log_odds = torch.from_numpy(np.log(shares) - np.log1p(-shares)).float()
    encoder = model.base_model_prefix
    children = [child for name, child in model.named_children() if name != encoder]
    linear = [layer for child in children for layer in child.modules() if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer in linear:
            layer.weight.normal_(std=layer.in_features**-0.5)
            if layer.out_features == len(log_odds) and layer.bias is not None:
                layer.bias.copy_(log_odds)


def pooling_of(options: ModelConfig) -> str:
    """`cls` or `mean`: both starters were pretrained with mean pooling, other encoders have a native class."""
    if options.pooling != "auto":
        return options.pooling
    return "mean" if is_starter(options.name) else "cls"


def head_activation_of(options: ModelConfig) -> str | None:
    """The head's activation, "auto" decided: a sentence encoder's mean is ready for a linear head."""
    if options.head_activation != "auto":
        return options.head_activation
    ready = is_starter(options.name) and pooling_of(options) == "mean" and options.head_width is None
    return "none" if ready else None


def _set_dropout_by_layer(model: PreTrainedModel, options: ModelConfig) -> None:
    """Dropout by layer where it is asked for.

    Raises:
        ConfigError: when only one end is given.
    """
    if options.bottom_dropout is None and options.top_dropout is None:
        return
    if options.bottom_dropout is None or options.top_dropout is None:
        raise ConfigError(
            f"model.bottom_dropout is {options.bottom_dropout} and model.top_dropout {options.top_dropout}; "
            "give both, or neither."
        )
    set_layerwise_dropout(model, options.bottom_dropout, options.top_dropout)


def _check_length(model: PreTrainedModel, max_length: int) -> None:
    """Refuse rows longer than the position embeddings.

    Raises:
        ConfigError: when `data.max_length` is more than the encoder can take.
    """
    longest = longest_input(model)
    if longest is not None and max_length > longest:
        raise ConfigError(
            f"data.max_length is {max_length}; {model.config.model_type} here takes at most {longest} tokens."
        )
