"""The model card: what the model is, how good it is, and what it was made from, with metadata for hubs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from shared.modeling.starters import ORIGINS, STARTER
from shared.thresholds import Policies
from shared.tokenizer import TextTokenizer
from training.config import Config
from training.data.corpus import Splits
from training.evaluation.report import number
from training.model.classifier import pooling_of

_SHOWN = {
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "samples_f1": "samples F1",
    "brier": "Brier score",
    "nll": "NLL",
}


def render_model_card(
    config: Config, data: Splits, metrics: Mapping[str, Any], policies: Policies, tokenizer: TextTokenizer
) -> str:
    """The card as Markdown with YAML metadata in front.

    Args:
        config: the resolved configuration.
        data: the splits.
        metrics: by split.
        policies: thresholds.
        tokenizer: its truncation is described.
    """
    environment = Environment(
        loader=PackageLoader("training.evaluation"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    environment.filters["number"] = number
    kinds = [info.kind for info in data.sources]
    name, single_label = config.model.name, config.loss.task == "single_label"
    return environment.get_template("model_card.md.j2").render(
        name=f"{config.run.name} emotion classifier",
        base_model=_hub_name(name),
        checkpoint=_described(name),
        dataset=", ".join(kinds),
        dataset_type=kinds[0],
        splits=metrics,
        shown=({"accuracy": "accuracy", "weighted_f1": "weighted F1"} if single_label else {}) | _SHOWN,
        single_label=single_label,
        labels=data.labels.names,
        tuning=config.tuning.method,
        pooling=pooling_of(config.model),
        native=pooling_of(config.model) == "cls",
        policy=policies.default,
        fitted_on=policies.fitted_on,
        max_length=tokenizer.max_length,
        head_tokens=tokenizer.head_tokens,
        emoji_names=tokenizer.normalisation == "emoji_names",
        sources=data.sources,
    )


def _described(checkpoint: str) -> str:
    """The base model as the card says it: a starter with what it was made from."""
    if checkpoint not in ORIGINS:
        return checkpoint
    return f"{checkpoint} ({ORIGINS[checkpoint]}{' laid into a DeBERTa-v2' if checkpoint == STARTER else ''})"


def _hub_name(checkpoint: str) -> str | None:
    """The name of the base model on the hub, None for a local folder."""
    if checkpoint in ORIGINS:
        return ORIGINS[checkpoint]
    return checkpoint if checkpoint.count("/") == 1 and not checkpoint.startswith((".", "/", "~")) else None
