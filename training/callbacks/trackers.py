"""Receivers of logged metrics: TensorBoard, MLflow and Weights & Biases; one run of theirs for each of ours."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import MLflowCallback, WandbCallback, rewrite_logs

from shared.errors import ConfigError

PARAMS_AT_ONCE = 100
"""What MLflow takes in one request, https://mlflow.org/docs/latest/rest-api.html#request-limits."""


class MLflow(MLflowCallback):
    """Sends metrics, the resolved configuration and what transformers says of itself to `$MLFLOW_TRACKING_URI`.

    Args:
        parameters: values by key, such as `optim.lr`.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.parameters = parameters
        self.began = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **more: Any
    ) -> None:
        """Begin a run, unless one is open or `$MLFLOW_RUN_ID` names one, and say what ours is made of."""
        mlflow = importlib.import_module("mlflow")
        before = mlflow.active_run()
        super().on_train_begin(args, state, control, model=model, **more)  # type: ignore[no-untyped-call]
        if not state.is_world_process_zero or before is not None:
            return
        self.began = True
        if self._run_id is None:  # the parameters of an older run cannot be changed
            for part in _parts(self.parameters, PARAMS_AT_ONCE):
                mlflow.log_params(part)

    def close(self, *, failed: bool) -> None:
        """End the run that was begun here, also where training was broken off: the next one has its own."""
        if self.began:
            importlib.import_module("mlflow").end_run("FAILED" if failed else "FINISHED")
            self.began = False


class Wandb(WandbCallback):
    """Sends metrics, the resolved configuration and what transformers says of itself to Weights & Biases.

    Args:
        parameters: values by key, such as `optim.lr`.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.parameters = parameters
        self.began = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **more: Any
    ) -> None:
        """Begin a run, unless one is open, and say what ours is made of."""
        wandb = importlib.import_module("wandb")
        before = wandb.run
        super().on_train_begin(args, state, control, model=model, **more)  # type: ignore[no-untyped-call]
        if wandb.run is not None:
            self.began = before is None
            wandb.run.config.update(dict(self.parameters), allow_val_change=True)

    def close(self, *, failed: bool) -> None:
        """End the run that was begun here: the next one would go on with it."""
        if self.began:
            importlib.import_module("wandb").finish(exit_code=int(failed))
            self.began = False


def _parts(values: Mapping[str, Any], size: int) -> Iterator[dict[str, Any]]:
    items = iter(values.items())
    while part := dict(islice(items, size)):
        yield part


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
