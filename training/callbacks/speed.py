"""How fast a run trains and how much memory it takes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.modeling.device import has_cuda


class SpeedWatch(TrainerCallback):
    """Times optimiser steps, without evaluations and checkpoints.

    Args:
        samples_per_step: rows of one optimiser step, all processes together.
    """

    def __init__(self, samples_per_step: int) -> None:
        self.samples_per_step = samples_per_step
        self.steps, self.seconds, self.begun = 0, 0.0, 0.0

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock."""
        self.begun = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stop the clock."""
        self.steps, self.seconds = self.steps + 1, self.seconds + time.monotonic() - self.begun

    def figures(self) -> dict[str, float]:
        """`samples_per_second` since the last question, and `memory_gb`."""
        figures = {"memory_gb": round(memory_bytes() / 1e9, 3)}
        if self.seconds > 0:
            figures["samples_per_second"] = round(self.steps * self.samples_per_step / self.seconds, 1)
        self.steps, self.seconds = 0, 0.0
        return figures


def memory_bytes(status: Path = Path("/proc/self/status")) -> int:
    """The most GPU memory in use so far; without a GPU the main memory this process has now (0 where unknown)."""
    if has_cuda():
        return int(torch.cuda.max_memory_allocated())
    try:
        lines = status.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
