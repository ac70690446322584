"""The model card of a model of intensities."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from shared.intensity import Readout
from shared.tokenizer import TextTokenizer
from training.config import Config
from training.data.corpus import Splits
from training.data.languages import texts_in_words
from training.evaluation.intensity_report import TITLES
from training.evaluation.intensity_scoring import ScoredIntensities
from training.evaluation.model_card import card_environment, card_languages, described_checkpoint
from training.model.classifier import pooling_of


def render_intensity_card(
    config: Config, data: Splits, scored: Sequence[ScoredIntensities], readout: Readout, tokenizer: TextTokenizer
) -> str:
    """The model card as Markdown with YAML metadata in front.

    Args:
        config: the resolved configuration.
        data: the splits.
        scored: the held-out splits with their metrics.
        readout: scale and intervals.
        tokenizer: its truncation is described.
    """
    title = f"{config.run.name} emotion intensities"
    kinds = [info.kind for info in data.sources]
    languages = card_languages(data.train)
    metadata = {
        **({"language": languages} if languages else {}),
        "tags": ["emotion", "emotion-intensity", "regression"], "metrics": ["pearsonr", "spearmanr"],
        "model-index": [{
            "name": title,
            "results": [{
                "task": {"type": "text-classification", "name": "Emotion intensity"},
                "dataset": {"name": ", ".join(kinds), "type": kinds[0], "split": item.name},
                "metrics": [
                    {"type": key, "name": TITLES[key], "value": round(item.metrics[key], 4)}
                    for key in ("pearson", "spearman") if item.metrics[key] is not None
                ],
            } for item in scored],
        }],
    }  # fmt: skip
    honest = min(scored, key=lambda item: item.fitted_here)
    return card_environment().get_template("intensity_card.md.j2").render(
        a_text=texts_in_words(data.train),
        metadata=yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True), name=title,
        checkpoint=described_checkpoint(config.model.name), tuning=config.tuning.method,
        pooling=pooling_of(config.model), loss=config.loss.name, readout=readout, labels=data.labels.names,
        splits={item.name: item.metrics for item in scored}, honest=honest.metrics, honest_name=honest.name,
        columns={key: title for key, title in TITLES.items() if key in honest.metrics},
        max_length=tokenizer.max_length, sources=data.sources,
    )  # fmt: skip
