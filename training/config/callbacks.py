"""What a user can say about watching a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

TrackerName = Literal["tensorboard", "mlflow", "wandb"]


@dataclass(frozen=True)
class WatchConfig:
    """Where figures go while a run trains, and what is looked at."""

    trackers: list[TrackerName] = field(default_factory=lambda: ["tensorboard"])
    """Receivers of every logged figure: tensorboard writes to <run>/logs/tensorboard; mlflow and wandb need their
    packages and take their settings from the environment (MLFLOW_TRACKING_URI, WANDB_PROJECT, ...)."""
    gradients: bool = True
    """Log the norm of the gradient of embeddings, every layer and head, as applied after clipping."""
    notes: bool = True
    """Say so when the loss stands still or diverges, and when the model over- or underfits."""
