"""The learning-rate range test: the loss over rates from low to high, and where it falls fastest."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shared.errors import ConfigError
from shared.files import replacing_file
from shared.modeling.device import torch_device
from training.checks.stages import preflight
from training.config import Config
from training.config.experiments import RangeConfig, RangeOptions
from training.data.collate import Collator
from training.data.load import load_data
from training.evaluation import plots
from training.loop.rows import TrainingRows, build_rows
from training.model.classifier import build_tokenizer
from training.model.tuning import build_tuned
from training.optim.optimiser import build_optimizer
from training.runtime import processes
from training.runtime.allocator import keep_freed_memory
from training.runtime.precision import Precision, choose_precision

SMOOTHING = 0.9
"""Share of the last smoothed loss that is kept."""
DIVERGED = 3.0
"""The test ends when the smoothed loss is this many times its lowest."""


@dataclass(frozen=True)
class RangeResult:
    """Losses over learning rates.

    Attributes:
        rates: learning rate of every step, rising, shape (S,).
        losses: loss of its batch before the step, shape (S,).
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]

    @property
    def smoothed(self) -> NDArray[np.float64]:
        """Exponential moving average of the losses without its bias towards the start, shape (S,)."""
        average, smooth = 0.0, []
        for step, loss in enumerate(self.losses, 1):
            average = SMOOTHING * average + (1 - SMOOTHING) * float(loss)
            smooth.append(average / (1 - SMOOTHING**step))
        return np.array(smooth)

    @property
    def suggestion(self) -> float | None:
        """The rate at which the loss falls fastest over the logarithm of the rate; None where it never falls.

        After Smith 2017, https://arxiv.org/abs/1506.01186, section 3.3; rates beyond the lowest loss do not count.
        """
        smooth = self.smoothed
        end = int(smooth.argmin()) + 1
        if end < 3:
            return None
        slope = np.gradient(smooth[:end], np.log(self.rates[:end]))
        steepest = int(slope.argmin())
        return float(self.rates[steepest]) if slope[steepest] < 0 else None


def draw_range(options: RangeOptions) -> tuple[RangeResult, Path]:
    """Make the test on the data and model of a run, and draw it; the result and the path of the plot.

    Raises:
        EmotionError: for a mistake in the configuration.
    """
    keep_freed_memory()
    processes.start(options.run.threads)
    preflight(options)
    precision = choose_precision(options.optim.precision)
    data = load_data(options.data, single_label=options.loss.task == "single_label")
    encoder = build_tokenizer(options)
    model = build_tuned(options, data)
    result = find_range(model, build_rows(options, data, encoder), options, options.range, precision)
    path = options.run_dir / "lr_range.svg"
    with replacing_file(path) as temporary:
        temporary.write_text(plots.rate_range(result.rates, result.losses, result.smoothed, result.suggestion))
    return result, path


def find_range(
    model: nn.Module, rows: TrainingRows, config: Config, tried: RangeConfig, precision: Precision
) -> RangeResult:
    """Train the model while the learning rate rises; every rate of the optimiser rises in proportion.

    Args:
        model: with the weights to be trained set trainable; it is changed.
        rows: encoded splits, order and loss.
        config: of the optimiser.
        tried: the rates.
        precision: of the forward pass; fp16 is tried as bf16 or fp32, since a scaler would skip steps.

    Raises:
        ConfigError: when the rates do not rise.
    """
    if not tried.low < tried.high or tried.steps < 2:
        raise ConfigError(
            f"range.low {tried.low:g}, range.high {tried.high:g} and range.steps {tried.steps} give no range; low must "
            "be below high, with 2 steps or more."
        )
    device = torch_device()
    model.to(device).train()
    optimizer = build_optimizer(model, config.optim)
    shares = [group["lr"] / config.optim.lr for group in optimizer.param_groups]
    rates = np.geomspace(tried.low, tried.high, tried.steps)
    batches, losses = _batches(rows, config.optim.batch_size), []
    for rate in rates:
        for group, share in zip(optimizer.param_groups, shares, strict=True):
            group["lr"] = float(rate) * share
        batch = {name: values.to(device) for name, values in next(batches).items()}
        with _autocast(precision, device):
            logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        loss = rows.loss(logits, batch["labels"], batch["known"])
        if not math.isfinite(loss.item()):
            break
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if config.optim.clip_norm:
            nn.utils.clip_grad_norm_(model.parameters(), config.optim.clip_norm)
        optimizer.step()
        smooth = RangeResult(rates[: len(losses)], np.array(losses)).smoothed
        if smooth[-1] > DIVERGED * smooth.min():
            break
    return RangeResult(rates[: len(losses)], np.array(losses))


def _autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    if precision.name == "fp32" or (precision.name == "fp16" and not torch.cuda.is_bf16_supported()):
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _batches(rows: TrainingRows, size: int) -> Iterator[dict[str, torch.Tensor]]:
    """Batches in the order of training, epoch after epoch."""
    collate, epoch = Collator(rows.tokenizer), 0
    while True:
        rows.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        order = list(rows.sampler)
        for start in range(0, len(order), size):
            yield collate([rows.train[row] for row in order[start : start + size]])
        epoch += 1
