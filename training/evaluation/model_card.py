"""The model card: what the model is, how good it is, and what it was made from, with metadata for hubs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from shared.modeling.starters import ORIGINS, STARTER
from shared.thresholds import Policies
from shared.tokenizer import TextTokenizer
from training.config import Config
from training.data.corpus import Corpus, Splits
from training.data.languages import language_counts, texts_in_words
from training.evaluation.report import number
from training.evaluation.sections import Scored, slice_rows
from training.model.classifier import pooling_of

WORST_SLICES = 6
_SHOWN = {
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "samples_f1": "samples F1",
    "brier": "Brier score",
    "nll": "NLL",
}


def render_model_card(
    config: Config,
    data: Splits,
    scored: Sequence[Scored],
    policies: Policies,
    tokenizer: TextTokenizer,
    *,
    fairness: Mapping[str, Any] | None = None,
) -> str:
    """The card as Markdown with YAML metadata in front.

    Args:
        config: the resolved configuration.
        data: the splits.
        scored: the held-out splits with their metrics; one that nothing was fitted on stands for the model.
        policies: thresholds.
        tokenizer: its truncation is described.
        fairness: gaps between persons, where they were measured.
    """
    honest = min(scored, key=lambda item: item.fitted_here)
    worst = sorted((row for row in slice_rows(honest) if row["interval"]), key=lambda row: row["micro_f1"])
    kinds = [info.kind for info in data.sources]
    name, single_label = config.model.name, config.loss.single_label
    shown = ({"accuracy": "accuracy", "weighted_f1": "weighted F1"} if single_label else {}) | _SHOWN
    title = f"{config.run.name} emotion classifier"
    metadata = _metadata(
        title, _hub_name(name), kinds, scored, shown,
        native=pooling_of(config.model) == "cls", languages=card_languages(data.train),
    )  # fmt: skip
    return card_environment().get_template("model_card.md.j2").render(
        metadata=metadata,
        a_text=texts_in_words(data.train),
        name=title,
        checkpoint=described_checkpoint(name),
        splits={item.name: item.metrics for item in scored},
        honest=honest.metrics,
        honest_name=honest.name,
        slices=worst[:WORST_SLICES],
        shown=shown,
        single_label=single_label,
        biased=config.calibration.method == "bias_corrected_temperature",
        labels=data.labels.names,
        tuning=config.tuning.method,
        pooling=pooling_of(config.model),
        native=pooling_of(config.model) == "cls",
        policy=policies.default,
        fitted_on=policies.fitted_on,
        max_length=tokenizer.max_length,
        head_tokens=tokenizer.head_tokens,
        emoji_names=tokenizer.normalisation == "emoji_names",
        context=tokenizer.context,
        sources=data.sources,
        fairness=fairness,
    )  # fmt: skip


def card_languages(rows: Corpus) -> str | list[str]:
    """Codes of the languages of the rows, without regions, for a hub; none where that of a row is not known."""
    codes = list(dict.fromkeys(code.split("-", maxsplit=1)[0] for code in language_counts(rows)))
    return codes[0] if len(codes) == 1 else codes


@cache
def card_environment() -> Environment:
    """Jinja with our templates for Markdown; a name that is missing is an error."""
    environment = Environment(
        loader=PackageLoader("training.evaluation"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    environment.filters["number"], environment.filters["md"] = number, escaped
    return environment


def _metadata(
    title: str,
    base_model: str | None,
    kinds: Sequence[str],
    scored: Sequence[Scored],
    shown: Mapping[str, str],
    *,
    native: bool,
    languages: str | list[str],
) -> str:
    """The metadata that hubs read, with `model-index`, as YAML (https://huggingface.co/docs/hub/model-cards).

    transformers is promised only for a native head: on another its pipeline would put a random one.
    """
    single_label = "accuracy" in shown
    task = {
        "type": "text-classification",
        "name": f"{'Single' if single_label else 'Multi'}-label emotion classification",
    }
    results = [
        {
            "task": dict(task),
            "dataset": {"name": ", ".join(kinds), "type": kinds[0], "split": item.name},
            "metrics": [_metric(item.metrics, key, name) for key, name in shown.items()],
        }
        for item in scored
    ]
    content = {
        **({"language": languages} if languages else {}),
        **({"library_name": "transformers", "pipeline_tag": "text-classification"} if native else {}),
        **({"base_model": base_model} if base_model else {}),
        "tags": ["emotion", "single-label" if single_label else "multi-label", "text-classification"],
        "metrics": ["f1", *(["accuracy"] if single_label else []), "brier_score"],
        "model-index": [{"name": title, "results": results}],
    }  # fmt: skip
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _metric(metrics: Mapping[str, Any], key: str, title: str) -> dict[str, Any]:
    interval = metrics.get("intervals", {}).get(key)
    found: dict[str, Any] = {"type": key, "name": title, "value": round(float(metrics[key]), 4)}
    return found | ({"args": {"interval_95": [round(end, 4) for end in interval]}} if interval else {})


def escaped(text: str) -> str:
    """A name from the data as Markdown that shows it as it is, within a table too."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~-])", r"\\\1", " ".join(text.split()))


def described_checkpoint(checkpoint: str) -> str:
    """The base model as the card says it: a starter with what it was made from."""
    if checkpoint not in ORIGINS:
        return checkpoint
    return f"{checkpoint} ({ORIGINS[checkpoint]}{' laid into a DeBERTa-v2' if checkpoint == STARTER else ''})"


def _hub_name(checkpoint: str) -> str | None:
    """The name of the base model on the hub, None for a local folder."""
    if checkpoint in ORIGINS:
        return ORIGINS[checkpoint]
    return checkpoint if checkpoint.count("/") == 1 and not checkpoint.startswith((".", "/", "~")) else None
