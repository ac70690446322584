"""Sections of measuring: evaluation while a run trains, calibration, and the options of evaluating a bundle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from shared.errors import ConfigError
from training.config.data import DataConfig, SourceKind
from training.config.types import NonNegativeFloat, NonNegativeInt, OpenShare, PositiveInt, Share


@dataclass(frozen=True)
class EvalConfig:
    """How progress and the result are measured."""

    batch_size: PositiveInt = 64
    """Rows in one forward pass of evaluation."""
    patience: PositiveInt | None = 3
    """Stop after this many evaluations on dev in which none of `stop_metrics` got better; never when null."""
    stop_metrics: list[
        Literal["macro_f1", "micro_f1", "accuracy", "weighted_f1", "brier", "pearson", "spearman", "loss"]
    ] = field(default_factory=lambda: ["macro_f1"])
    """What has to stall for a stop, all of it together; F1 with thresholds tuned on dev, before calibration, and of the
    most probable label with loss.name cross_entropy, which accuracy and weighted_f1 need. With data.task intensity
    pearson and spearman are measured, and pearson stands in for macro_f1."""
    best_by: Literal["macro_f1", "micro_f1", "accuracy", "weighted_f1", "pearson", "spearman"] = "macro_f1"
    """Which metric on dev decides whose weights are kept; accuracy and weighted_f1 need loss.name cross_entropy,
    pearson (which stands in for macro_f1 then) and spearman data.task intensity."""
    bootstrap_samples: NonNegativeInt = 1000
    """Resamples for the intervals of the report; 0 leaves the intervals out."""
    show_texts: bool = True
    """Whether the report shows texts of the held-out splits: worst errors, labels to review."""
    fairness_sentences: NonNegativeInt = 700
    """About how many sentences that differ in the person alone are asked for the model card; 0 asks none."""


PER_LABEL = ("temperature_per_label", "bias_corrected_temperature")
"""Methods of calibration that treat labels differently: not for one label a text, whose order they would change."""


@dataclass(frozen=True)
class CalibrationConfig:
    """Temperatures, biases and thresholds, all fitted on dev."""

    method: Literal["temperature", "temperature_per_label", "bias_corrected_temperature", "none"] = "temperature"
    """One temperature for all labels, one per label (shrunk to the global one), one and a bias per label, or none."""
    temperature_shrinkage: NonNegativeFloat = 100.0
    """Per-label temperatures: a label with this many positive dev rows lies halfway to the global temperature."""
    bias_shrinkage: NonNegativeFloat = 10.0
    """Biases: each is held towards 0 as by this many rows, so that a label with few positive dev rows hardly moves."""
    threshold_shrinkage: NonNegativeFloat = 40.0
    """Policy f1: a label with this many positive dev rows lies halfway to the global threshold; 0 does not shrink."""
    precision_target: Share = 0.8
    """p of the policy precision@p: the lowest threshold of every label with at least this precision on dev."""
    recall_target: Share = 0.8
    """r of the policy recall@r: the highest threshold of every label with at least this recall on dev."""
    per_language: bool = False
    """Whether each language of dev with 50 rows or more gets thresholds of policy f1 of its own, shrunk towards the
    shared ones; they are chosen by `language` in a request."""
    interval_level: OpenShare = 0.9
    """data.task intensity: share of the intervals that are to hold the true intensity."""


_OF_ROWS = ("source", "split", "ids_of_bundle", "text_column", "label_column")
"""Keys of `EvaluationData` that say nothing unless rows are named."""


@dataclass(frozen=True)
class EvaluationData(DataConfig):
    """Which rows to evaluate; labels and truncation are those of the bundle."""

    split: Literal["train", "dev", "test", "all"] | None = None
    """The split: train, dev, test, or "all" for every row of a corpus without official splits; when left out test
    where there are official splits, and otherwise all."""
    ids_of_bundle: bool = False
    """Tables of label ids without names: whether they are positions in the bundle's labels."""

    def check_path(self, hint: str) -> None:
        """Refuse keys that choose among rows where no rows are named.

        Args:
            hint: what to do instead.

        Raises:
            ConfigError: naming the keys, when neither path nor sources are given.
        """
        if self.path is not None or self.sources:
            return
        default = type(self)()
        given = [key for key in _OF_ROWS if getattr(self, key) != getattr(default, key)]
        if given:
            verb = "is" if len(given) == 1 else "are"
            raise ConfigError(f"{', '.join(f'data.{key}' for key in given)} {verb} given without data.path.", hint=hint)


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of `python -m training.evaluate`."""

    data: EvaluationData = field(default_factory=EvaluationData)
    """Which rows to evaluate."""
    splits: list[Literal["train", "dev", "test", "all"]] | None = None
    """Several splits, each with metrics of its own, in place of data.split."""
    each_source: bool = False
    """Whether each of data.sources gets metrics of its own, beside those of all together."""
    level: Literal["ekman", "sentiment"] | None = None
    """The rows are annotated with these groups (or with labels that fall into them): the bundle's 28 labels are grouped
    as the service groups them."""
    output: str | None = None
    """Folder for metrics.json, report.html and a CSV file of the rows; nothing is written when left out."""
    rows: bool = True
    """Whether the CSV file of the rows is written: probabilities, decisions, truth and loss of every text."""
    show_texts: bool = True
    """Whether texts are shown in the report and written to the CSV file."""
    faithfulness_texts: NonNegativeInt = 40
    """Texts of the first part of which the report says how faithful reasons are (about 40 model runs each); 0 leaves
    it out."""
    batch_size: PositiveInt = 64
    """Rows in one forward pass."""
    bootstrap_samples: NonNegativeInt = 1000
    """Resamples for the intervals; 0 leaves them out."""
    threads: PositiveInt | None = None
    """CPU threads; what the machine or the container allows when left out."""


@dataclass(frozen=True)
class CompareOptions:
    """Options of `emotion compare`."""

    data: EvaluationData = field(default_factory=EvaluationData)
    """Which rows to compare on; the reference rows of the first bundle when no path is given."""
    policy: str | None = None
    """The decision policy; each bundle's default one when left out."""
    output: str | None = None
    """Folder for comparison.json and report.html; nothing is written when left out."""
    show_texts: bool = True
    """Whether examples show their texts."""
    timing: bool = True
    """Whether size, milliseconds a text and texts a second are measured."""
    batch_size: PositiveInt = 64
    """Rows in one forward pass of a trained model."""
    bootstrap_samples: PositiveInt = 1000
    """Resamples for the paired intervals."""
    threads: PositiveInt | None = None
    """CPU threads; what the machine or the container allows when left out."""


@dataclass(frozen=True)
class TableWithGroups(EvaluationData):
    """A labelled table with a column of groups."""

    source: SourceKind = "table"
    """Kind of the corpus."""


@dataclass(frozen=True)
class AuditOptions:
    """Options of `emotion audit`."""

    data: TableWithGroups = field(default_factory=TableWithGroups)
    """A labelled table with a column of groups (data.group_column); none when no path is given."""
    eec: str | None = None
    """File of the Equity Evaluation Corpus (CSV), audited beside our own sentences."""
    sentences: PositiveInt | None = 4000
    """About how many of our own sentences are asked, in whole sets; all when null."""
    robustness_rows: PositiveInt = 500
    """Reference rows that are changed to see what noise costs."""
    mitigation: Literal["counterfactual_augmentation", "per_group_thresholds"] | None = None
    """Say how a gap can be made smaller."""
    output: str | None = None
    """Folder for audit.json and report.html; nothing is written when left out."""
    seed: NonNegativeInt = 0
    """Of the choice of sentences and rows, and of the noise."""
    batch_size: PositiveInt = 64
    """Rows in one forward pass of a trained model."""
    threads: PositiveInt | None = None
    """CPU threads; what the machine or the container allows when left out."""


@dataclass(frozen=True)
class DriftOptions:
    """Options of `emotion drift`."""

    text_column: str | None = None
    """Column of the texts, for their length; text, sentence or content when left out and there."""
    date_column: str | None = None
    """Column of dates, for drift by month; none when left out."""
    output: str | None = None
    """Folder for drift.json and report.html; nothing is written when left out."""


@dataclass(frozen=True)
class DomainsOptions:
    """Options of `emotion domains`."""

    data: EvaluationData = field(default_factory=EvaluationData)
    """The corpora, each an entry of data.sources."""
    each_language: bool = False
    """Whether every language of every corpus is a column of its own: trained on one, tested on another."""
    level: Literal["ekman", "sentiment"] | None = None
    """Compare at the level of these groups; the labels that corpus and bundle share when left out."""
    output: str = "domains"
    """Folder for the table (JSON, CSV, text) and the plot."""
    batch_size: PositiveInt = 64
    """Rows in one forward pass."""
    bootstrap_samples: NonNegativeInt = 300
    """Resamples for the intervals; 0 leaves them out."""
    threads: PositiveInt | None = None
    """CPU threads; what the machine or the container allows when left out."""
