"""From the configuration to the loss that the training step calls."""

from __future__ import annotations

from shared.errors import ConfigError
from training.config import LossConfig
from training.losses.class_weights import LabelCounts, label_weights
from training.losses.elementwise import (
    EntryLoss,
    Loss,
    asymmetric,
    binary_cross_entropy,
    focal,
    over_known_entries,
    softmax_cross_entropy,
    weighted_binary_cross_entropy,
    weighted_sum,
)
from training.losses.ordinal import coral, cumulative_link, mean_squared_error


def build_loss(config: LossConfig, counts: LabelCounts | None = None) -> Loss:
    """The loss that `config` names, as a function of logits, targets and known entries, each (N, L), to a scalar.

    Those of ordinal intensities take logits of shape (N, L * (K-1)), see `training.losses.ordinal`.

    Args:
        config: name and options.
        counts: how often each label occurs in training; only `weighted_bce` needs them.

    Raises:
        ConfigError: when the counts are needed and missing.
    """
    if config.name == "cross_entropy":
        return softmax_cross_entropy(config.smoothing)
    if config.ordinal:
        return coral() if config.name == "coral" else cumulative_link()
    return over_known_entries(_entry_loss(config, counts), config.smoothing)


def _entry_loss(config: LossConfig, counts: LabelCounts | None) -> EntryLoss:
    if config.name == "weighted_bce":
        if counts is None:
            raise ConfigError("loss.name is 'weighted_bce', which needs the label counts of training rows.")
        return weighted_binary_cross_entropy(label_weights(counts, config.weighting, config.weight_cap))
    if config.name == "mse":
        return mean_squared_error
    if config.name == "focal":
        return focal(config.gamma, config.alpha)
    if config.name == "asymmetric":
        return _asymmetric(config)
    if config.name == "combined":
        return weighted_sum(
            [
                (config.ratio, _asymmetric(config)),
                (1.0 - config.ratio, focal(config.gamma, config.alpha)),
                (config.bce_share, binary_cross_entropy),
            ]
        )
    return binary_cross_entropy


def _asymmetric(config: LossConfig) -> EntryLoss:
    return asymmetric(config.gamma_negative, config.gamma_positive, config.margin, detach_focus=config.detach_focus)
