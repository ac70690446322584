"""Sections of a run: where it writes, what is checked before it, and what is logged while it trains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from training.config.types import NonNegativeInt, PositiveInt, Seed

CheckName = Literal[
    "versions", "disk", "export", "labels", "conflicts", "leaks", "lengths", "unknown_tokens", "initial_loss",
    "outputs", "padding", "one_batch", "gradients",
]  # fmt: skip
"""The checks that can be skipped, in the order in which they run."""

TrackerName = Literal["tensorboard", "mlflow", "wandb"]


@dataclass(frozen=True)
class RunConfig:
    """Where a run writes and how it is repeated."""

    name: str = "default"
    """Name of the run: it writes to <output_dir>/<name>/ and the link <output_dir>/latest points there at the end."""
    output_dir: str = "runs"
    """Folder of all runs."""
    seed: Seed = 42
    """Seed of the new weights, the order of the rows, dropout and bootstrap intervals."""
    resume: bool = False
    """Continue the run of this name exactly where its last checkpoint was written."""
    resume_if_there: bool = False
    """Continue the run of this name where there is one, and start it where there is none: for a command that a cluster
    starts again after a machine is lost."""
    overwrite: bool = False
    """Start again although the run of this name is unfinished: its checkpoints are lost, or an experiment's runs."""
    save_every_steps: PositiveInt | None = None
    """Write a checkpoint every so many optimiser steps, besides the one after every epoch."""
    keep_checkpoints: PositiveInt = 2
    """Newest checkpoints to keep; the best one is always kept too."""
    log_every_steps: PositiveInt = 20
    """Optimiser steps between two entries of the training log."""
    threads: PositiveInt | None = None
    """CPU threads for training; what the machine or the container allows when left out."""
    workers: NonNegativeInt = 0
    """Processes that prepare batches; 0 prepares them in the training process (best for short texts on a CPU)."""


@dataclass(frozen=True)
class PreflightConfig:
    """Checks before anything expensive."""

    skip: list[CheckName] = field(default_factory=list)
    """Checks to leave out, such as [labels, one_batch]; a failed one says its name."""


@dataclass(frozen=True)
class WatchConfig:
    """Where metrics are logged while a run trains, and which."""

    trackers: list[TrackerName] = field(default_factory=lambda: ["tensorboard"])
    """Receivers of every logged metric: tensorboard writes to <run>/logs/tensorboard; mlflow and wandb need their
    packages and take their settings from the environment (MLFLOW_TRACKING_URI, WANDB_PROJECT, ...)."""
    gradients: bool = True
    """Log the norm of the gradient of embeddings, every layer and head, as applied after clipping."""
    notes: bool = True
    """Log a note when the loss stalls or diverges, and when the model over- or underfits."""
