"""MLflow and Weights & Biases, through the callbacks of transformers: one run of theirs for each of ours."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import MLflowCallback, WandbCallback

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
