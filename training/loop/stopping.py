"""The end of a training that no longer gets better, by one measure or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

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
