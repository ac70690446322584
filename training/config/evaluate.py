"""Sections of measuring: evaluation while a run trains, calibration, and the options of evaluating a bundle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from training.config.data import DataConfig
from training.config.types import NonNegativeFloat, NonNegativeInt, PositiveInt, Share


@dataclass(frozen=True)
class EvalConfig:
    """How progress and the result are measured."""

    batch_size: PositiveInt = 64
    """Rows in one forward pass of evaluation."""
    patience: PositiveInt | None = 3
    """Stop after this many evaluations on dev in which none of `stop_metrics` got better; never when null."""
    stop_metrics: list[Literal["macro_f1", "micro_f1", "accuracy", "weighted_f1", "brier", "loss"]] = field(
        default_factory=lambda: ["macro_f1"]
    )
    """What has to stall for a stop, all of it together; F1 with thresholds tuned on dev, before calibration, and of the
    most probable label with loss.name cross_entropy, which accuracy and weighted_f1 need."""
    best_by: Literal["macro_f1", "micro_f1", "accuracy", "weighted_f1"] = "macro_f1"
    """Which metric on dev decides whose weights are kept; accuracy and weighted_f1 need loss.name cross_entropy."""
    bootstrap_samples: NonNegativeInt = 1000
    """Resamples for the intervals of the report; 0 leaves the intervals out."""


@dataclass(frozen=True)
class CalibrationConfig:
    """Temperatures and thresholds, both fitted on dev."""

    method: Literal["temperature", "temperature_per_label", "none"] = "temperature"
    """One temperature for all labels, one per label (shrunk to the global one), or none."""
    temperature_shrinkage: NonNegativeFloat = 100.0
    """Per-label temperatures: a label with this many positive dev rows lies halfway to the global temperature."""
    threshold_shrinkage: NonNegativeFloat = 10.0
    """Policy f1: a label with this many positive dev rows lies halfway to the global threshold; 0 does not shrink."""
    precision_target: Share = 0.8
    """p of the policy precision@p: the lowest threshold of every label with at least this precision on dev."""
    recall_target: Share = 0.8
    """r of the policy recall@r: the highest threshold of every label with at least this recall on dev."""


@dataclass(frozen=True)
class EvaluationData(DataConfig):
    """Which rows to evaluate; labels and truncation are those of the bundle."""

    split: Literal["train", "dev", "test", "all"] | None = None
    """The split: train, dev, test, or "all" for every row of a corpus without official splits; when left out test
    where there are official splits, and otherwise all."""
    ids_of_bundle: bool = False
    """Tables of label ids without names: whether they are positions in the bundle's labels."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of `python -m training.evaluate`."""

    data: EvaluationData = field(default_factory=EvaluationData)
    """Which rows to evaluate."""
    output: str | None = None
    """Folder for metrics.json and report.html; nothing is written when left out."""
    batch_size: PositiveInt = 64
    """Rows in one forward pass."""
    bootstrap_samples: NonNegativeInt = 1000
    """Resamples for the intervals; 0 leaves them out."""
    threads: PositiveInt | None = None
    """CPU threads; what the machine or the container allows when left out."""
