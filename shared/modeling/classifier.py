"""Build a classifier on a pretrained encoder, and load one that was saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedModel

from shared.errors import ConfigError, ModelNotFoundError
from shared.fast_deberta import use_fast_attention
from shared.modeling.checkpoints import head_modules, load_config, load_weights, resolve_checkpoint
from shared.modeling.encoders import adapt_encoder, check_encoder
from shared.modeling.head import HeadOptions, set_dropout, store_head, store_native_head
from shared.modeling.mean_pooling import MeanPoolingClassifier, encoder_options
from shared.modeling.token_types import use_token_types
from shared.modeling.tokenizer_files import load_tokenizer_json

__all__ = ["HeadOptions", "build_classifier", "head_modules", "load_classifier", "resolve_checkpoint"]

Pooling = Literal["cls", "mean"]
Task = Literal["multi_label", "single_label", "intensity"]
_PROBLEM_TYPES = {
    "multi_label": "multi_label_classification", "single_label": "single_label_classification",
    "intensity": "multi_label_classification",  # a pipeline of transformers gives the sigmoid: the share of the scale
}  # fmt: skip


def build_classifier(
    checkpoint: str | Path,
    *,
    labels: Sequence[str],
    pooling: Pooling,
    head: HeadOptions | None = None,
    task: Task = "multi_label",
    extra_tokens: Sequence[str] = (),
    hidden_dropout: float | None = None,
    attention_dropout: float | None = None,
    fast_attention: bool = True,
) -> PreTrainedModel:
    """A pretrained encoder with a new head, in float32, whatever precision the checkpoint stores.

    Args:
        checkpoint: `starter`, `starter-base`, a local folder, or the name of a model on the hub.
        labels: names of the L labels, in the order of the logits.
        pooling: "cls" for the architecture's own head, "mean" for the mean of the token states.
        head: of the new head; the defaults when None.
        task: how the labels exclude each other; written into the configuration.
        extra_tokens: as for `load_tokenizer_json`: their embeddings start as the mean of their bare word's pieces.
        hidden_dropout: probability after the encoder's layers; the checkpoint's own when None.
        attention_dropout: probability on attention weights; the checkpoint's own when None.
        fast_attention: replace DeBERTa's attention with the fast and exact one.

    Raises:
        ModelNotFoundError: when the checkpoint cannot be reached.
        ModelError: when its files do not make an encoder.
        ConfigError: when the architecture cannot do what an option asks.
    """
    if pooling not in ("cls", "mean"):
        raise ConfigError(f"pooling is {pooling!r}; allowed are cls and mean.")
    source = resolve_checkpoint(checkpoint)
    config = load_config(source)
    head = head or HeadOptions()
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.problem_type = _PROBLEM_TYPES[task]
    config.pooling = pooling
    set_dropout(config, "hidden_dropout", hidden_dropout)
    set_dropout(config, "attention_dropout", attention_dropout)
    if pooling == "mean":
        store_head(config, head)
        encoder = load_weights(AutoModel, source, config, **encoder_options(config))
        model: PreTrainedModel = MeanPoolingClassifier(config, encoder)
    else:
        store_native_head(config, head)
        model = load_weights(AutoModelForSequenceClassification, source, config)
    check_encoder(model)
    if extra_tokens:
        _add_token_rows(model, source, extra_tokens)
    return _finish(model, fast_attention)


def load_classifier(
    folder: str | Path,
    *,
    task: Task | None = None,
    hidden_dropout: float | None = None,
    attention_dropout: float | None = None,
    fast_attention: bool = True,
) -> PreTrainedModel:
    """A classifier saved by `save_pretrained`, in a bundle or a checkpoint: float32, in evaluation mode.

    Args:
        folder: of the bundle or checkpoint.
        task: as for `build_classifier`; as it was saved when None, and so are the two below.
        hidden_dropout: probability after the encoder's layers.
        attention_dropout: probability on attention weights.
        fast_attention: replace DeBERTa's attention with the fast and exact one.

    Raises:
        ModelNotFoundError: when the folder holds no configuration or no weights.
        ModelError: when the weights are not those of a classifier.
        ConfigError: when the architecture has no such dropout.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ModelNotFoundError(f"no model in {folder}: config.json is missing.")
    config = load_config(folder)
    if task is not None:
        config.problem_type = _PROBLEM_TYPES[task]
    set_dropout(config, "hidden_dropout", hidden_dropout)
    set_dropout(config, "attention_dropout", attention_dropout)
    kind = MeanPoolingClassifier if getattr(config, "pooling", "cls") == "mean" else AutoModelForSequenceClassification
    model = load_weights(kind, folder, config, complete=True)
    return _finish(model, fast_attention).eval()


def _finish(model: PreTrainedModel, fast_attention: bool) -> PreTrainedModel:
    # transformers 5 would scale the loss by world size and accumulation steps
    setattr(model, "accepts_loss_kwargs", False)  # noqa: B010  (no declared attribute)
    adapt_encoder(model)
    if fast_attention:
        use_fast_attention(model)
    use_token_types(model)
    return model


def _add_token_rows(model: PreTrainedModel, source: str | Path, extra_tokens: Sequence[str]) -> None:
    """Embeddings for tokens the vocabulary lacks, each the mean of the pieces of its word: `[NAME]` of "name"."""
    bare = load_tokenizer_json(source, extra_tokens=())
    full = load_tokenizer_json(source, extra_tokens=extra_tokens)
    rows = full.get_vocab_size(with_added_tokens=True)
    if rows > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(rows, mean_resizing=False)
    table: Any = model.get_input_embeddings().weight
    with torch.no_grad():
        for token in extra_tokens:
            if bare.token_to_id(token) is None:
                pieces = bare.encode(token.strip("[]<>").lower(), add_special_tokens=False).ids
                table[full.token_to_id(token)] = table[pieces].mean(dim=0)
