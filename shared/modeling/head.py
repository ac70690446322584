"""Options of the classification head, and where a model's configuration keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.errors import ConfigError

ACTIVATIONS = ("gelu", "tanh", "none")

DEFAULT_DROPOUT = 0.1
"""Of the head, where nothing else is asked for."""

_DEBERTA = ("deberta", "deberta-v2")
_DROPOUT_FIELDS = {
    "hidden_dropout": ("hidden_dropout_prob", "dropout", "mlp_dropout"),
    "attention_dropout": ("attention_probs_dropout_prob", "attention_dropout"),
    "head.dropout": ("classifier_dropout", "seq_classif_dropout", "cls_dropout", "classifier_dropout_prob"),
}


@dataclass(frozen=True)
class HeadOptions:
    """The head between the pooled state and the logits: dropout, dense layer, activation, dropout, linear layer.

    Args:
        width: outputs of the dense layer; the encoder's width when None. Mean pooling only.
        activation: of the dense layer; "none" leaves the layer out (mean pooling only). None means "gelu", or
            whatever the architecture's own head has.
        dropout: probability in front of the last linear layer; None means 0.1 where it can be set.
        input_dropout: probability in front of the dense layer.

    Raises:
        ConfigError: when a value is out of range.
    """

    width: int | None = None
    activation: str | None = None
    dropout: float | None = None
    input_dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.width is not None and self.width < 1:
            raise ConfigError(f"the head's width is {self.width}; it must be at least 1.")
        if self.activation is not None and self.activation not in ACTIVATIONS:
            raise ConfigError(f"the head's activation is {self.activation!r}; allowed are {', '.join(ACTIVATIONS)}.")
        if self.activation == "none" and self.width is not None:
            raise ConfigError(f"the head has no dense layer (activation none), so width {self.width} has no meaning.")
        for name, value in (("dropout", self.dropout), ("input_dropout", self.input_dropout)):
            if value is not None and not 0 <= value < 1:
                raise ConfigError(f"the head's {name} is {value}; it must be in [0, 1).")


def store_head(config: Any, head: HeadOptions) -> None:
    """Write the head's options into a configuration, for `stored_head`."""
    config.head_width, config.head_activation = head.width, head.activation
    config.head_dropout, config.head_input_dropout = dropout_of(head), head.input_dropout


def stored_head(config: Any) -> HeadOptions:
    """The head's options written by `store_head`."""
    return HeadOptions(
        width=getattr(config, "head_width", None),
        activation=getattr(config, "head_activation", None),
        dropout=getattr(config, "head_dropout", DEFAULT_DROPOUT),
        input_dropout=getattr(config, "head_input_dropout", 0.0),
    )


def store_native_head(config: Any, head: HeadOptions) -> None:
    """Write the options of DeBERTa's `ContextPooler`, or the dropout of another architecture's head.

    Raises:
        ConfigError: when the architecture's head cannot be as asked.
    """
    if head.width not in (None, config.hidden_size):
        raise ConfigError(
            f"with cls pooling the head is as wide as the encoder ({config.hidden_size}), not {head.width}.",
            hint="Leave head.width out, or use mean pooling.",
        )
    if config.model_type in _DEBERTA:
        if head.activation == "none":
            raise ConfigError(
                "with cls pooling DeBERTa's head always has a dense layer; activation none is not possible.",
                hint="Use gelu or tanh, or mean pooling.",
            )
        config.pooler_hidden_size = config.hidden_size
        config.pooler_hidden_act = head.activation or "gelu"
        config.pooler_dropout, config.cls_dropout = head.input_dropout, dropout_of(head)
        return
    if head.activation is not None or head.input_dropout:
        raise ConfigError(
            f"with cls pooling a {config.model_type} model has its architecture's head; only head.dropout can be set.",
            hint="Leave head.activation and head.input_dropout out, or use mean pooling.",
        )
    if any(hasattr(config, name) for name in _DROPOUT_FIELDS["head.dropout"]):
        set_dropout(config, "head.dropout", dropout_of(head))
    elif head.dropout is not None:
        raise ConfigError(
            f"the head's dropout is {head.dropout}; with cls pooling the head of a {config.model_type} model has none "
            "of its own.",
            hint="Leave the head's dropout out and set the encoder's hidden dropout, or use mean pooling.",
        )


def dropout_of(head: HeadOptions) -> float:
    """Probability in front of the last linear layer."""
    return DEFAULT_DROPOUT if head.dropout is None else head.dropout


def set_dropout(config: Any, option: str, value: float | None) -> None:
    """Write a dropout probability into the field that the architecture has for it; None leaves the field alone.

    Raises:
        ConfigError: when the value is out of range or the architecture has no such field.
    """
    if value is None:
        return
    if not 0 <= value < 1:
        raise ConfigError(f"{option} is {value}; it must be in [0, 1).")
    for name in _DROPOUT_FIELDS[option]:
        if hasattr(config, name):
            setattr(config, name, value)
            return
    raise ConfigError(f"{option} cannot be set for a {config.model_type} model; leave it out.")
