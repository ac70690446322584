"""Metrics of the model that is served, and how they are made."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_classifiers.data import arguments, as_given, options_for

if TYPE_CHECKING:
    from serving.predictor import Predictor
    from training.config.evaluate import EvaluateOptions


@dataclass(frozen=True)
class Metrics:
    """Metrics of one split under the bundle's default policy.

    Attributes:
        precision: of the model that was evaluated: fp32, int8 or fp16 as served, "torch" as trained.
        num_examples: N rows.
        macro_f1: mean of the labels' F1.
        micro_f1: F1 of all decisions pooled.
        samples_f1: mean of each row's own F1.
        macro_ap: mean of the labels' average precision; None where no label has a positive row.
        brier: mean squared difference of probability and outcome.
        nll: mean binary negative log likelihood, in nats.
        ece_pooled: expected calibration error over all decisions.
        ece_classwise: mean of the labels' own.
        per_label: label -> precision, recall, f1, support, ap; None where no row is annotated for it.
        notes: what to know about the rows that were scored.
        content: everything that was measured, as `emotion evaluate` prints it: other policies, baselines, intervals.
    """

    precision: str
    num_examples: int
    macro_f1: float
    micro_f1: float
    samples_f1: float
    macro_ap: float | None
    brier: float
    nll: float
    ece_pooled: float
    ece_classwise: float
    per_label: Mapping[str, Mapping[str, Any]]
    notes: Sequence[str]
    content: Mapping[str, Any]

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Metrics:
        """The metrics in what an evaluation returned."""
        own = {name: content[name] for name in cls.__dataclass_fields__ if name != "content"}
        return cls(**own, content=content)

    def __repr__(self) -> str:
        return (
            f"Metrics(macro_f1={self.macro_f1:.3f}, micro_f1={self.micro_f1:.3f}, brier={self.brier:.4f}, "
            f"nll={self.nll:.4f}, num_examples={self.num_examples}, precision={self.precision!r}"
            + (f", notes={list(self.notes)}" if self.notes else "")
            + ")"
        )


@dataclass(frozen=True)
class IntensityMetrics:
    """Metrics of one split of a bundle of intensities; None for what is not defined, as a correlation of constants is.

    Attributes:
        precision: of the model that was evaluated: fp32, int8 or fp16 as served, "torch" as trained.
        num_examples: N rows.
        pearson: Pearson's r, mean of the labels.
        spearman: Spearman's rho, mean of the labels.
        mae: mean absolute error on the scale, mean of the labels.
        coverage: share of the annotated intensities within their intervals.
        per_label: label -> its rows and metrics.
        notes: what to know about the rows that were scored.
        content: everything that was measured, as `emotion evaluate` prints it.
    """

    precision: str
    num_examples: int
    pearson: float | None
    spearman: float | None
    mae: float | None
    coverage: float | None
    per_label: Mapping[str, Mapping[str, Any]]
    notes: Sequence[str]
    content: Mapping[str, Any]

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> IntensityMetrics:
        """The metrics in what an evaluation returned."""
        own = {name: content[name] for name in cls.__dataclass_fields__ if name != "content"}
        return cls(**own, content=content)


def evaluate(
    predictor: Predictor,
    data: Any,
    *,
    text: str | None,
    labels: str | Sequence[str] | None,
    options: Mapping[str, Any],
) -> Metrics | IntensityMetrics:
    """Metrics of the predictor's model; see `Model.evaluate`."""
    from training.config.evaluate import EvaluateOptions  # noqa: PLC0415  (who predicts needs no parser)
    from training.config.parser import parse_options  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="emotion-") as folder, as_given(Path(folder)):
        given = options_for(data, Path(folder), text=text, labels=labels)
        if data is not None and not isinstance(data, str | PathLike) and not _has_splits(Path(given["data.path"])):
            given["data.split"] = "all"  # rows in hand are all meant, also where training saw them; a note says that
        parsed, _ = parse_options(
            EvaluateOptions, arguments({**given, **options}), prog="evaluate", description="", environment=False
        )
        return evaluate_served(predictor, parsed)


def _has_splits(table: Path) -> bool:
    """Whether a Parquet file has a column that names the split of each row."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    from training.data.sources.vocabulary import split_column  # noqa: PLC0415

    return split_column(pq.read_schema(table).names) is not None


def evaluate_served(predictor: Predictor, options: EvaluateOptions) -> Metrics | IntensityMetrics:
    """Metrics of the predictor's model on the rows that the options name."""
    from training.evaluation.evaluate_bundle import evaluate_bundle  # noqa: PLC0415  (pandas and scikit-learn)

    content = evaluate_bundle(
        predictor.bundle.path, options, logits=predictor.logits, precision=predictor.precision
    )  # fmt: skip
    kind = Metrics if predictor.bundle.task.decides else IntensityMetrics
    return kind.from_content({"precision": predictor.precision, **content})
