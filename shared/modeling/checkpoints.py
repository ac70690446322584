"""Find a checkpoint and load its configuration and weights."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, WEIGHTS_INDEX_NAME, WEIGHTS_NAME
from transformers.utils import logging as hf_logging

from shared.errors import ModelError, ModelNotFoundError
from shared.files import read_json, sha256_file
from shared.modeling.hub import checkpoint_file, first_line, local_only
from shared.modeling.starters import STARTER, is_starter, starter_folder
from shared.weights import digest_of

_T = TypeVar("_T")


def resolve_checkpoint(checkpoint: str | Path) -> str | Path:
    """The folder of `starter`, `starter-base` or of a local checkpoint, else the name on the hub, unchanged.

    Raises:
        ModelNotFoundError: when a path is given that is no folder.
    """
    if is_starter(checkpoint):
        return starter_folder(checkpoint)
    path = Path(checkpoint).expanduser()
    if path.is_dir():
        return path
    name = str(checkpoint)
    if isinstance(checkpoint, Path) or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelNotFoundError(f"no folder {name}.", hint=_offline_hint())
    return name


def weights_digest(source: str | Path) -> str | None:
    """What names the weights that a checkpoint is loaded from, over all of their files; None where one is not there.

    The forms are tried in transformers' order: https://huggingface.co/docs/transformers/big_models
    """
    for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME, WEIGHTS_NAME, WEIGHTS_INDEX_NAME):
        found = checkpoint_file(source, name)
        if found is None:
            continue
        if name in (SAFE_WEIGHTS_NAME, WEIGHTS_NAME):
            return sha256_file(found)
        files = [checkpoint_file(source, part) for part in sorted(set(read_json(found)["weight_map"].values()))]
        return digest_of([sha256_file(file) for file in files if file is not None]) if all(files) else None
    return None


def load_config(source: str | Path) -> PretrainedConfig:
    """The configuration of an encoder.

    Raises:
        ModelNotFoundError: when there is none in the folder, or the name cannot be reached.
        ModelError: when it cannot be read or is not that of an encoder.
    """
    if isinstance(source, Path) and not (source / "config.json").is_file():
        raise ModelNotFoundError(f"no model in {source}: config.json is missing.", hint=_offline_hint())
    config = _reach(source, lambda: AutoConfig.from_pretrained(source, local_files_only=local_only(source)))
    if getattr(config, "is_encoder_decoder", False) or not hasattr(config, "hidden_size"):
        raise ModelError(f"{source} is a {config.model_type} model; an encoder such as DeBERTa or BERT is needed.")
    return config


def load_weights(
    kind: Any, source: str | Path, config: PretrainedConfig, *, complete: bool = False, **options: bool
) -> Any:
    """A model of class `kind` with float32 weights: all of them when `complete`, else at least the encoder's.

    Raises:
        ModelNotFoundError: when the name cannot be reached.
        ModelError: when the weights cannot be read or are not those of the model.
    """
    given = {"config": config, "dtype": torch.float32, "ignore_mismatched_sizes": not complete, **options}
    given["local_files_only"] = local_only(source)
    with _quiet():
        model, report = _reach(source, lambda: kind.from_pretrained(source, output_loading_info=True, **given))
    missing = [*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])]
    if not complete and kind is AutoModelForSequenceClassification:
        head = tuple(f"{name}." for name in head_modules(model))
        missing = [key for key in missing if not key.startswith(head)]
    if missing:
        raise ModelError(
            f"the weights in {source} are not those of a {type(model).__name__}: "
            f"{len(missing)} are missing or of another size, such as {sorted(missing)[0]}."
        )
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from warning that the head is new, which is meant; what is not meant, `load_weights` raises."""
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


def _reach(source: str | Path, load: Callable[[], _T]) -> _T:
    try:
        return load()
    except Exception as error:  # the hub's client, safetensors and torch raise types of their own
        if isinstance(source, Path):
            raise ModelError(f"the model in {source} cannot be loaded: {first_line(error)}") from error
        raise ModelNotFoundError(
            f"the model {source!r} cannot be reached: {first_line(error)}", hint=_offline_hint()
        ) from error


def _offline_hint() -> str:
    return (
        f"Without a network use {STARTER!r} or a local folder with config.json, model.safetensors (or "
        "pytorch_model.bin) and the tokenizer's files."
    )


def longest_input(model: nn.Module) -> int | None:
    """Most tokens, special ones included, that the position embeddings of a model have a row for; None without a limit.

    The table itself is asked, as configurations do not tell: RoBERTa and its like (MPNet, data2vec) leave the rows up
    to the padding id unused, Nystromformer two more than it says, and XLNet has none.
    """
    limits = []
    for module in model.modules():
        table = getattr(module, "position_embeddings", None)
        if not isinstance(table, nn.Embedding):
            continue
        limits.append(
            table.num_embeddings if table.padding_idx is None else table.num_embeddings - table.padding_idx - 1
        )
        positions = getattr(module, "position_ids", None)
        if isinstance(positions, torch.Tensor):
            limits.append(positions.shape[-1])
    return min(limits, default=None)


def head_modules(model: PreTrainedModel) -> list[str]:
    """Names of the modules outside the encoder that have parameters: what LoRA has to train and save in full."""
    prefix = model.base_model_prefix
    names = [
        name for name, module in model.named_children() if name != prefix and any(True for _ in module.parameters())
    ]
    encoder_pooler = getattr(getattr(model, prefix), "pooler", None)
    return [*names, f"{prefix}.pooler"] if isinstance(encoder_pooler, nn.Module) else names
