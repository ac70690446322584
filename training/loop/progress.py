"""What a person sees while a run trains, what the log keeps, and how a run is stopped, early or by hand."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.cli import is_terminal
from training.runtime.processes import on_any

log = logging.getLogger("training")


class StopRequest:
    """Whether Ctrl-C or SIGTERM asked for an end; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.received = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = True
        log.warning("Stopping after this step and saving a checkpoint; press Ctrl-C again to stop at once.")

    @contextlib.contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Handle SIGINT and SIGTERM inside the block; outside of the main thread nothing is changed."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class SaveCallback(TrainerCallback):
    """Writes further checkpoints: every so many steps, and before a stop that was asked for.

    Processes agree on a stop: a signal reaches each of them at its own time, and one that went on would wait for
    the gradients of the others.

    Args:
        every_steps: optimiser steps between two checkpoints; none but those of the epochs when None.
        request: of this process; one of any process raises KeyboardInterrupt once its checkpoint is written.
    """

    def __init__(self, every_steps: int | None, request: StopRequest) -> None:
        self.every_steps = every_steps
        self.request = request

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Ask for a checkpoint where one is due."""
        stop = on_any(self.request.received)
        due = self.every_steps is not None and state.global_step % self.every_steps == 0
        control.should_save = control.should_save or due or stop
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stop now that everything is written."""
        if on_any(self.request.received):
            raise KeyboardInterrupt


class ProgressCallback(TrainerCallback):
    """One line an evaluation, a moving line on a terminal, and every metric in `train.jsonl`.

    Args:
        path: of the log.
        enabled: False on all processes but one.
        best_by: the metric on dev that decides whose weights are kept.
    """

    def __init__(self, path: Path, *, enabled: bool, best_by: str = "macro_f1") -> None:
        self.path = path
        self.enabled = enabled
        self.best_by = best_by
        self.start = time.monotonic()
        self.first_step = 0
        self.loss = float("nan")

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock; on resume drop what the log says of later steps."""
        self.start, self.first_step = time.monotonic(), state.global_step
        if self.enabled:
            kept = _lines_until(state.global_step, self.path)
            self.path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Move the line on the terminal."""
        if self.enabled and is_terminal():
            done = state.global_step - self.first_step
            rest = (time.monotonic() - self.start) / max(1, done) * (state.max_steps - state.global_step)
            sys.stderr.write(
                f"\r\033[Kstep {state.global_step}/{state.max_steps}  epoch {state.epoch or 0:.2f}"
                f"{'' if math.isnan(self.loss) else f'  loss {self.loss:.4f}'}  {_duration(rest)} left"
            )
            sys.stderr.flush()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Append the metrics to the log."""
        if not self.enabled or not logs:
            return
        self.loss = logs.get("loss", self.loss)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": state.global_step, **logs}) + "\n")

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Log the result of an evaluation."""
        if not self.enabled or not metrics:
            return
        if is_terminal():
            sys.stderr.write("\r\033[K")
        score, best = metrics[f"eval_{self.best_by}"], state.best_metric
        log.info(
            "epoch %.2f  %sdev loss %.4f  dev %s %.4f%s  %s",
            state.epoch or 0.0, "" if math.isnan(self.loss) else f"train loss {self.loss:.4f}  ",
            metrics["eval_loss"], self.best_by.replace("_f1", " F1"), score,
            " (best)" if best is None or score > best else "", _duration(time.monotonic() - self.start),
        )  # fmt: skip


def _lines_until(step: int, path: Path) -> list[str]:
    """Lines of the log up to a step, without what a full disk or a power cut left of a line."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    kept = []
    for line in lines:
        with contextlib.suppress(ValueError):
            if json.loads(line)["step"] <= step:
                kept.append(line)
    return kept


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


SMALLER_IS_BETTER = frozenset({"loss", "brier"})


class StopWhenStalled(TrainerCallback):
    """Stops once every metric has stalled.

    It follows from the Trainer's own record alone, so that a resumed run stops where the unbroken one does.

    Args:
        metrics: names without `eval_`.
        patience: evaluations in a row without a better value before a metric has stalled.
    """

    def __init__(self, metrics: Sequence[str], patience: int) -> None:
        self.metrics = metrics
        self.patience = patience

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Ask for the end when it is time."""
        if has_stalled(state.log_history, self.metrics, self.patience):
            control.should_training_stop = True


def has_stalled(history: Sequence[Mapping[str, Any]], metrics: Sequence[str], patience: int) -> bool:
    """Whether no metric got better in its last `patience` evaluations."""
    return all(evaluations_since_best(history, metric) >= patience for metric in metrics)


def evaluations_since_best(history: Sequence[Mapping[str, Any]], metric: str) -> int:
    """Evaluations after the first with the best value; NaN is never better."""
    sign = -1.0 if metric in SMALLER_IS_BETTER else 1.0
    best, waited = float("-inf"), 0
    for entry in history:
        if f"eval_{metric}" in entry:
            value = sign * float(entry[f"eval_{metric}"])
            best, waited = (value, 0) if value > best else (best, waited + 1)
    return waited
