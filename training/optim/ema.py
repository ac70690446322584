"""Exponential moving average of the weights: the average is what is evaluated and kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.errors import ConfigError

EMA_FILE = "ema.safetensors"
"""Name of the averaged weights within a checkpoint; its `model.safetensors` holds the weights that are trained on."""
_UPDATES = "updates"


class Ema:
    """Average a of weights w: after every optimiser step a = d a + (1 - d) w (Polyak and Juditsky 1992).

    The first averages would be made of little but the untrained start, so that d = min(decay, (1 + t) / (10 + t)) at
    update t, counted from 1 (as in TensorFlow's `ExponentialMovingAverage`).

    Args:
        weights: names and tensors to average; they start the average.
        decay: d once the average is warm, in [0, 1); 0.999 averages over about the last 1,000 steps.

    Raises:
        ConfigError: for a decay out of range, or when there is nothing to average.
    """

    def __init__(self, weights: Iterable[tuple[str, Tensor]], decay: float) -> None:
        if not 0.0 <= decay < 1.0:
            raise ConfigError(f"the decay of the weight average is {decay}; it must be in [0, 1).")
        self.decay = decay
        self.updates = 0
        self._weights = {name: weight for name, weight in weights if weight.is_floating_point()}
        if not self._weights:
            raise ConfigError("there are no weights to average: none is trained.")
        self._averages = {name: weight.detach().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights as they are now into the average."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average(list(self._averages.values()), list(self._weights.values()), self.updates)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the model has the averaged weights; afterwards its own again, to the last bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def copy_to_model(self) -> None:
        """Overwrite the model's weights with the averages."""
        for name, weight in self._weights.items():
            weight.copy_(self._averages[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, weight in self._weights.items():
            own = weight.detach().clone()
            weight.copy_(self._averages[name])
            self._averages[name].copy_(own)

    def state_dict(self) -> dict[str, Any]:
        """Number of updates and copies of the averages by name."""
        averages = {name: average.detach().clone() for name, average in self._averages.items()}
        return {_UPDATES: self.updates, "averages": averages}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave.

        Raises:
            ConfigError: when it is the average of other weights.
        """
        saved = state["averages"]
        shapes = {name: tuple(tensor.shape) for name, tensor in saved.items()}
        expected = {name: tuple(tensor.shape) for name, tensor in self._averages.items()}
        differing = sorted(name for name in shapes | expected if shapes.get(name) != expected.get(name))
        if differing:
            raise ConfigError(
                f"the saved weight average is of other weights: {len(differing)} differ, such as {differing[0]} "
                f"(saved {shapes.get(differing[0])}, here {expected.get(differing[0])}).",
                hint="Continue a run with the model and tuning it was started with.",
            )
        self.updates = int(state[_UPDATES])
        with torch.no_grad():
            for name, average in self._averages.items():
                average.copy_(saved[name])

    def save(self, folder: Path) -> None:
        """Write the average into a checkpoint."""
        tensors = {name: average.contiguous() for name, average in self._averages.items()}
        save_file(tensors, folder / EMA_FILE, metadata={_UPDATES: str(self.updates)})

    def load(self, folder: Path) -> None:
        """Continue from the average in a checkpoint.

        Raises:
            ConfigError: when the checkpoint has none, or that of other weights.
        """
        path = folder / EMA_FILE
        if not path.is_file():
            raise ConfigError(
                f"there is no weight average in {folder}: the run was started without one.",
                hint="Continue it with optim.ema_decay null, or start it again with --run.overwrite true.",
            )
        with safe_open(path, framework="pt") as stored:
            averages = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  (not a mapping)
            self.load_state_dict({_UPDATES: stored.metadata()[_UPDATES], "averages": averages})


def load_averages(model: nn.Module, folder: Path) -> None:
    """Overwrite the weights of a model with their averages in a checkpoint.

    Raises:
        ConfigError: when the checkpoint has none, or that of other weights.
    """
    path = folder / EMA_FILE
    names: set[str] = set(load_file(path)) if path.is_file() else set()
    ema = Ema([item for item in model.named_parameters() if not names or item[0] in names], 0.0)
    ema.load(folder)
    ema.copy_to_model()


class EmaCallback(TrainerCallback):
    """Updates the average after every optimiser step."""

    def __init__(self, ema: Ema) -> None:
        self.ema = ema

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Take in the weights of this step."""
        self.ema.update()
