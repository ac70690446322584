"""The learning-rate range test: the loss over rates from low to high, and where it falls fastest."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.errors import ConfigError, TrainingError
from shared.files import replacing_file
from training.checks.stages import preflight
from training.config import Config
from training.config.experiments import RangeConfig, RangeOptions
from training.data.collate import Collator
from training.data.load import load_data
from training.evaluation import plots
from training.loop.trainer import EmotionTrainer, training_arguments
from training.loop.training_rows import TrainingRows, build_rows
from training.model.classifier import build_tokenizer
from training.model.tuning import build_tuned
from training.runtime import processes
from training.runtime.resources import Precision, choose_precision, keep_freed_memory

log = logging.getLogger("training")

SMOOTHING = 0.9
"""Share of the last smoothed loss that is kept."""
DIVERGED = 3.0
"""The test ends when the smoothed loss is this many times its lowest."""


@dataclass(frozen=True)
class RangeResult:
    """Losses over learning rates.

    Attributes:
        rates: learning rate of every step, rising, shape (S,).
        losses: loss of its batches before the step, shape (S,).
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
    data = load_data(options.data, single_label=options.loss.single_label)
    tokenizer = build_tokenizer(options)
    model = build_tuned(options, data)
    result = find_range(model, build_rows(options, data, tokenizer), options, options.range, precision)
    path = options.run_dir / "lr_range.svg"
    with replacing_file(path) as temporary:
        temporary.write_text(plots.rate_range(result.rates, result.losses, result.smoothed, result.suggestion))
    return result, path


def find_range(
    model: nn.Module, rows: TrainingRows, config: Config, tried: RangeConfig, precision: Precision
) -> RangeResult:
    """Train the model by the steps of a run while the learning rate rises; every group's rate rises in proportion.

    The loss is what a run minimises: with the teachers' part, penalties and accumulated batches.

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
    rates = np.geomspace(tried.low, tried.high, tried.steps)
    config = replace(config, optim=replace(config.optim, ema_decay=None))
    with tempfile.TemporaryDirectory() as scratch:
        arguments = training_arguments(
            config, Path(scratch), _without_scaler(precision), max_steps=tried.steps,
            eval_strategy="no", save_strategy="no", logging_strategy="no", load_best_model_at_end=False,
        )  # fmt: skip
        trainer = RangeTrainer(
            rates, config=config, rows=rows, model=model, args=arguments, train_dataset=rows.train,
            data_collator=Collator(rows.tokenizer).__call__,
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)  # type: ignore[no-untyped-call]
        try:
            trainer.train()
        except TrainingError as error:  # a loss that is no longer finite
            if not trainer.losses:
                raise
            log.info("The test ends after %d rates: %s", len(trainer.losses), error)
    return RangeResult(rates[: len(trainer.losses)], np.array(trainer.losses))


class RangeTrainer(EmotionTrainer):
    """The trainer of a run, with a learning rate that rises; it keeps the loss of every step.

    Args:
        rates: learning rate of every step, shape (S,).
        options: of `EmotionTrainer`.

    Attributes:
        losses: what each step minimised, averaged over its accumulated batches.
    """

    def __init__(self, rates: NDArray[np.float64], **options: Any) -> None:
        super().__init__(**options)
        self.rates = rates
        self.losses: list[float] = []
        self.batch_losses: list[float] = []
        self.add_callback(_RangeSteps(self))  # type: ignore[no-untyped-call]

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        """The rates in proportion to those of the optimiser's groups."""
        shares = self.rates / self.config.optim.lr
        self.lr_scheduler = LambdaLR(
            optimizer or self.create_optimizer(), lambda step: float(shares[min(step, len(shares) - 1)])
        )
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def compute_loss(self, *args: Any, **options: Any) -> Tensor | tuple[Tensor, Any]:
        """The loss of a batch as in a run, kept."""
        loss = super().compute_loss(*args, **options)
        self.batch_losses.append((loss[0] if isinstance(loss, tuple) else loss).item())
        return loss


class _RangeSteps(TrainerCallback):
    """Gathers the loss of a step, and ends the test where the smoothed loss diverges."""

    def __init__(self, trainer: RangeTrainer) -> None:
        self.trainer = trainer

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Average the accumulated batches."""
        losses = self.trainer.losses
        losses.append(float(np.mean(self.trainer.batch_losses)))
        self.trainer.batch_losses.clear()
        smooth = RangeResult(self.trainer.rates[: len(losses)], np.array(losses)).smoothed
        control.should_training_stop = bool(smooth[-1] > DIVERGED * smooth.min()) or control.should_training_stop


def _without_scaler(precision: Precision) -> Precision:
    """fp16 as bf16 or fp32: a gradient scaler would skip steps."""
    if precision.name != "fp16":
        return precision
    return Precision("bf16" if torch.cuda.is_bf16_supported() else "fp32", "a gradient scaler would skip steps")
