"""Which options go with `data.task intensity`, and which say nothing there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import ConfigError
from training.config.evaluate import PER_LABEL

if TYPE_CHECKING:
    from training.config.schema import Config

LABEL_METRICS = ("micro_f1", "accuracy", "weighted_f1", "brier")
"""Metrics of decided labels; macro_f1, the default, is read as pearson."""
LOSSES = ("bce", "mse", "cumulative_link", "coral")


def check_intensity(config: Config) -> None:
    """Refuse losses of another task, and with `data.task intensity` options that are made for labels.

    Raises:
        ConfigError: naming the option.
    """
    loss = config.loss.name
    if config.data.task == "labels":
        if loss in LOSSES[1:]:
            raise ConfigError(f"loss.name is {loss}, which is for intensities.", hint="Add --data.task intensity.")
        for source in config.data.resolved_sources():
            if source.intensity_columns is not None or source.scale is not None:
                raise ConfigError(
                    "data.intensity_columns or data.scale is given, and data.task is labels.",
                    hint="Add --data.task intensity.",
                )
        return
    if loss not in LOSSES:
        raise ConfigError(
            f"loss.name is {loss}, and data.task is intensity; allowed: {', '.join(LOSSES)} (the last two for ordinal "
            "scales)."
        )
    for key, given in _made_for_labels(config).items():
        if given:
            raise ConfigError(f"{key} is made for labels, and data.task is intensity.", hint="Leave it out.")


def _made_for_labels(config: Config) -> dict[str, bool]:
    """Option -> whether it is given."""
    sources, sampling = config.data.resolved_sources(), config.data.sampling
    return {
        "loss.smoothing": bool(config.loss.smoothing),
        "calibration.per_language": config.calibration.per_language,
        f"calibration.method {config.calibration.method}": config.calibration.method in PER_LABEL,
        "augment.methods": bool(config.augment.methods),
        "distill.teachers": bool(config.distill.teachers),
        "data.sampling.oversample_below": sampling.oversample_below is not None,
        "data.sampling.min_presence": bool(sampling.min_presence),
        "tuning.unfreeze plateau": config.tuning.method == "progressive" and config.tuning.unfreeze == "plateau",
        "model.keep_head": bool(config.model.keep_head) and config.loss.ordinal,
        "data.context_turns": bool(config.data.context_turns),
        "data.positive_from": any(source.positive_from is not None for source in sources),
        "data.soft_labels": any(source.soft_labels for source in sources),
        "data.aggregate": any(source.aggregate is not None for source in sources),
        "data.annotated": any(source.annotated is not None for source in sources),
        "data.taxonomy": any(source.taxonomy is not None for source in sources),
    }
