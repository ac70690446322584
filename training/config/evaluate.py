"""What a user can say about evaluating a bundle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from jsonargparse.typing import NonNegativeInt, PositiveInt

from training.config.data import DataConfig


@dataclass(frozen=True)
class EvaluationData(DataConfig):
    """Which rows to evaluate; labels and truncation are those of the bundle."""

    split: Literal["train", "dev", "test", "all"] = "test"
    """The split; "all" takes every row of a corpus without official splits."""


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
