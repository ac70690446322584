"""Receivers of logged metrics: TensorBoard, MLflow and Weights & Biases."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import rewrite_logs

from shared.errors import ConfigError
from training.callbacks.services import MLflow, Wandb


class TensorBoard(TrainerCallback):
    """Writes every number that is logged to a folder that `tensorboard --logdir` shows.

    Args:
        folder: of the event files; what it holds of later steps is hidden when a run is resumed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer: Any = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Open the file on the process that writes."""
        if state.is_world_process_zero:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (takes a second; needed here alone)

            self.writer = SummaryWriter(str(self.folder), purge_step=state.global_step + 1)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Write the metrics: `train/loss`, `eval/macro_f1` and so on."""
        if self.writer is None:
            return
        for name, value in rewrite_logs(logs or {}).items():  # type: ignore[no-untyped-call]
            if isinstance(value, (int, float)):
                self.writer.add_scalar(name, value, state.global_step)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Let a person see it now."""
        if self.writer is not None:
            self.writer.flush()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Close the file."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def build_trackers(names: Sequence[str], logs: Path, parameters: Mapping[str, Any]) -> list[TrainerCallback]:
    """The callbacks of the trackers named.

    Args:
        names: of the trackers.
        logs: folder of the run's logs.
        parameters: the resolved configuration, values by key.

    Raises:
        ConfigError: when the package of one is not installed.
    """
    check_trackers(names)
    makers: dict[str, Any] = {
        "tensorboard": lambda: TensorBoard(logs / "tensorboard"),
        "mlflow": lambda: MLflow(parameters),
        "wandb": lambda: Wandb(parameters),
    }
    return [makers[name]() for name in dict.fromkeys(names)]


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers whose package is not installed.

    Raises:
        ConfigError: naming the package.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"watch.trackers names {name}, and the package {name} is not installed.",
                hint="pip install 'emotion-classifiers[track]', or leave it out of watch.trackers.",
            )
