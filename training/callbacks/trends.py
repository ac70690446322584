"""What the course of the metrics says: a loss that stalls or diverges, over- and underfitting."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

log = logging.getLogger("training")

History = Sequence[Mapping[str, Any]]
WINDOW = 5
"""Logged losses whose mean is compared with the mean of the same number before them."""


def notes(history: History, *, finished: bool = False) -> dict[str, str]:
    """What there is to say, by kind.

    Args:
        history: logged metrics in order, with `loss` in training and `eval_loss`, `eval_macro_f1` on dev.
        finished: whether training is over; only then can a model be said to underfit.
    """
    losses = [float(entry["loss"]) for entry in history if "loss" in entry]
    dev = [float(entry["eval_loss"]) for entry in history if "eval_loss" in entry]
    found = {"divergence": _divergence(losses), "plateau": _plateau(losses), "overfitting": _overfitting(losses, dev)}
    if finished:
        found["underfitting"] = _underfitting(losses, dev)
    return {kind: text for kind, text in found.items() if text}


def _means(losses: Sequence[float]) -> tuple[float, float] | None:
    if len(losses) < 2 * WINDOW:
        return None
    return float(np.mean(losses[-2 * WINDOW : -WINDOW])), float(np.mean(losses[-WINDOW:]))


def _divergence(losses: Sequence[float]) -> str:
    means = _means(losses)
    if means is None or means[1] <= means[0]:
        return ""
    smooth = np.convolve(losses, np.full(WINDOW, 1 / WINDOW), mode="valid")
    lowest = float(smooth.min())
    if means[1] <= 1.5 * lowest:
        return ""
    return f"the training loss diverges: {means[1]:.4f} after {lowest:.4f} at its lowest. Lower optim.lr."


def _plateau(losses: Sequence[float]) -> str:
    means = _means(losses)
    if means is None:
        return ""
    before, now = means
    noise = float(np.std(losses[-2 * WINDOW :])) / np.sqrt(WINDOW)
    if abs(before - now) > max(0.005 * abs(before), noise):
        return ""
    return (
        f"the training loss has stalled: {before:.4f} and {now:.4f}, each the mean of {WINDOW} logged. "
        "If it is still high, raise optim.lr or train more weights."
    )


def _overfitting(losses: Sequence[float], dev: Sequence[float]) -> str:
    if len(dev) < 3 or not losses:
        return ""
    best = int(np.argmin(dev))
    since = len(dev) - 1 - best
    if since < 2 or dev[-1] < 1.05 * dev[best] or float(np.mean(losses[-WINDOW:])) >= dev[best]:
        return ""
    return (
        f"the model overfits: dev loss rose from {dev[best]:.4f} to {dev[-1]:.4f} in {since} evaluations while the "
        f"training loss fell to {np.mean(losses[-WINDOW:]):.4f}. Fewer epochs, more dropout or weight decay help."
    )


def _underfitting(losses: Sequence[float], dev: Sequence[float]) -> str:
    if len(losses) < 2 or not dev:
        return ""
    first, last = float(losses[0]), float(np.mean(losses[-WINDOW:]))
    falling = len(dev) >= 2 and dev[-1] == min(dev) and dev[-1] < 0.97 * dev[-2]
    if last > 0.9 * first:
        return f"the model underfits: the training loss went from {first:.4f} to {last:.4f} only. Raise optim.lr."
    if falling:
        return f"the model could learn more: dev loss was still falling at the end ({dev[-2]:.4f} to {dev[-1]:.4f})."
    return ""


class TrendNotes(TrainerCallback):
    """Logs each kind of note once, after an evaluation and at the end."""

    def __init__(self) -> None:
        self.logged: dict[str, str] = {}

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Look at the course so far."""
        self._log_new(notes(state.log_history))

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Look at the whole course."""
        self._log_new(notes(state.log_history, finished=True))

    def _log_new(self, found: Mapping[str, str]) -> None:
        for kind, text in found.items():
            if kind not in self.logged:
                self.logged[kind] = text
                log.info("note: %s", text)
