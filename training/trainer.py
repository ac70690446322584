"""The training loop: Hugging Face's Trainer with our loss, batches, optimiser, schedule and measure of progress."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.utils import logging as hf_logging

from shared.tokenizer import TextTokenizer
from training.config import Config, EvalConfig
from training.data.collate import Collator
from training.disk import disk_errors
from training.ema import Ema, EmaCallback
from training.losses.distillation import Distillation
from training.losses.masked import Loss
from training.measure import dev_scores
from training.memory import train_within_memory
from training.optimiser import build_optimizer, build_schedule, weight_penalty
from training.plateau import PlateauSchedule
from training.precision import Precision
from training.progress import ProgressCallback, SaveCallback, StopRequest
from training.run_folder import RunFolder, read_state
from training.stopping import StopWhenStalled, has_stalled
from training.tuning import build_unfreezing
from training.watch.callbacks import Watch
from training.watch.finite import check_finite


@dataclass(frozen=True)
class TrainingRows:
    """Encoded splits, the order of the training rows, and the loss over them, with a teacher's part if there is one."""

    train: datasets.Dataset
    dev: datasets.Dataset
    sampler: Sampler[int]
    tokenizer: TextTokenizer
    loss: Loss
    distillation: Distillation | None = None


@dataclass(frozen=True)
class Progress:
    """How training went.

    Attributes:
        steps: optimiser steps done.
        best_step: step of the checkpoint whose weights the model has now.
        best_macro_f1: its macro F1 on dev, with thresholds fitted there, before calibration.
        history: every logged figure, in order.
    """

    steps: int
    best_step: int
    best_macro_f1: float
    history: list[dict[str, Any]]


class EmotionTrainer(Trainer):
    """Trainer with a masked loss over `labels` and `known`, a given order of rows, and our optimiser and schedule.

    With `optim.ema_decay` the average of the weights is what is evaluated, and what the best checkpoint gives; the
    checkpoint's `model.safetensors` holds the weights that training continues with, the average lies beside it.
    """

    def __init__(self, *, config: Config, rows: TrainingRows, watch: Watch, **options: Any) -> None:
        super().__init__(**options)
        self.config = config
        self.watch = watch
        self.sampler = rows.sampler
        self.loss = rows.loss
        self.distillation = rows.distillation
        self.ema: Ema | None = None
        if config.optim.ema_decay is not None:
            weights = options["model"].named_parameters()
            self.ema = Ema([item for item in weights if item[1].requires_grad], config.optim.ema_decay)
            self.add_callback(EmaCallback(self.ema))  # type: ignore[no-untyped-call]

    def _get_train_sampler(self, *_: Any, **__: Any) -> Sampler[int]:
        return self.sampler

    def compute_loss(  # type: ignore[override]  # the versions of transformers differ in further arguments
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any
    ) -> Tensor | tuple[Tensor, Any]:
        """The loss of a batch, and the model's outputs when asked for."""
        encoded = {name: value for name, value in inputs.items() if name not in ("labels", "known", "teacher")}
        outputs = model(**encoded)
        loss = self.loss(outputs.logits, inputs["labels"], inputs["known"])
        if model.training and self.distillation is not None:
            loss = self.distillation(loss, outputs.logits, inputs["teacher"], inputs["known"])
        if model.training:
            check_finite(loss.detach(), model, inputs, self.state.global_step)
        optim = self.config.optim
        if model.training and (optim.l1 or optim.l2):
            loss = loss + weight_penalty(model, optim.l1, optim.l2)
        return (loss, {"loss": loss, "logits": outputs.logits}) if return_outputs else loss

    def create_optimizer(self, *_: Any, **__: Any) -> torch.optim.Optimizer:
        """The configured optimiser over the trainable weights."""
        if self.optimizer is None and self.model is not None:
            self.optimizer = build_optimizer(self.model, self.config.optim)
        return self.optimizer  # type: ignore[return-value]

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Warm-up and decay; the ratio is taken here because versions of transformers differ on it."""
        if self.lr_scheduler is None:
            schedule = build_schedule(optimizer or self.create_optimizer(), self.config.optim, num_training_steps)
            self.lr_scheduler = schedule  # type: ignore[assignment]  # any schedule of torch will do
            self._created_lr_scheduler = True
        return self.lr_scheduler  # type: ignore[return-value]

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        """Metrics of the averaged weights where there are any, else of the model's own."""
        with self.ema.applied() if self.ema is not None else contextlib.nullcontext():
            metrics = super().evaluate(*args, **options)
        if self.is_in_train and isinstance(self.lr_scheduler, PlateauSchedule):
            self.lr_scheduler.observe(metrics["eval_macro_f1"])
        return metrics

    def log(self, logs: dict[str, float], *args: Any, **options: Any) -> None:
        """Log the figures of the training step with those of what watches it."""
        super().log({**logs, **self.watch.figures()} if "loss" in logs else logs, *args, **options)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)  # type: ignore[no-untyped-call]
        if self.ema is not None and self.args.should_save:
            self.ema.save(Path(output_dir))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[no-untyped-call]
        if self.ema is not None and checkpoint is not None:
            self.ema.load(Path(checkpoint))

    def _load_best_model(self) -> None:
        super()._load_best_model()  # type: ignore[no-untyped-call]
        if self.ema is not None:
            self.ema.load(Path(str(self.state.best_model_checkpoint)))
            self.ema.copy_to_model()


def train(
    model: nn.Module,
    rows: TrainingRows,
    config: Config,
    folder: RunFolder,
    *,
    precision: Precision,
    resume_from: Path | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> Progress:
    """Train the model; it ends with the weights of the best checkpoint.

    Args:
        model: with the weights to be trained set trainable.
        rows: encoded splits and the order of training.
        config: the whole configuration.
        folder: where checkpoints and logs go.
        precision: of the forward pass.
        resume_from: a checkpoint of the same run.
        callbacks: further ones, called after those of the loop.

    Raises:
        KeyboardInterrupt: when a stop was asked for; a checkpoint was written first.
        TrainingError: when its numbers are no longer finite, or it does not fit into memory.
    """
    request = StopRequest()

    def make(config: Config) -> EmotionTrainer:
        made = build_trainer(model, rows, config, folder, precision=precision, request=request)
        for callback in callbacks:
            made.add_callback(callback)  # type: ignore[no-untyped-call]
        return made

    if resume_from is not None and _had_stopped_early(resume_from, config.eval):
        trainer = make(config)
        _restore_finished(trainer, resume_from)
    else:
        with disk_errors(), request.listening():
            trainer = train_within_memory(make, config, resume_from)
        if request.received:
            raise KeyboardInterrupt
    # or every later forward pass would run in autocast too
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    state = trainer.state
    best = float(state.best_metric) if state.best_metric is not None else float("nan")
    return Progress(state.global_step, _step_of(state.best_model_checkpoint), best, list(state.log_history))


def build_trainer(
    model: nn.Module,
    rows: TrainingRows,
    config: Config,
    folder: RunFolder,
    *,
    precision: Precision,
    request: StopRequest | None = None,
) -> EmotionTrainer:
    """The Trainer of a run, ready to train."""
    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # ours is drawn for a person alone
    arguments = training_arguments(config, folder, precision)
    watch = Watch(
        config.watch, model, folder.logs,
        samples_per_step=config.optim.batch_size * config.optim.accumulation * arguments.world_size,
        scaled=arguments.fp16,
    )  # fmt: skip
    callbacks = [
        ProgressCallback(folder.logs / "train.jsonl", enabled=arguments.process_index == 0),
        SaveCallback(config.run.save_every_steps, request or StopRequest()),
    ]
    callbacks += watch.callbacks
    if config.eval.patience is not None:
        callbacks.append(StopWhenStalled(config.eval.stop_metrics, config.eval.patience))
    if config.tuning.method == "progressive":
        callbacks.append(build_unfreezing(model, config.tuning))
    trainer = EmotionTrainer(
        config=config,
        rows=rows,
        watch=watch,
        model=model,
        args=arguments,
        train_dataset=rows.train,
        eval_dataset=_longest_first(rows.dev),
        data_collator=Collator(rows.tokenizer).__call__,  # the object's tokenizer is not one that Trainer can save
        compute_metrics=lambda prediction: dev_scores(
            prediction, config.calibration.threshold_shrinkage, config.loss.activation
        ),
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)  # type: ignore[no-untyped-call]
    return trainer


def training_arguments(config: Config, folder: RunFolder, precision: Precision) -> TrainingArguments:
    """The arguments of the Trainer; what they lack, such as the warm-up ratio, is built by `EmotionTrainer`."""
    optim, run = config.optim, config.run
    on_gpu = torch.cuda.is_available()
    # or it is taken over from an earlier run in this process
    os.environ["ACCELERATE_MIXED_PRECISION"] = {"fp32": "no"}.get(precision.name, precision.name)
    return TrainingArguments(
        output_dir=str(folder.checkpoints),
        num_train_epochs=optim.epochs,
        max_steps=-1 if optim.max_steps is None else optim.max_steps,
        per_device_train_batch_size=optim.batch_size,
        per_device_eval_batch_size=config.eval.batch_size,
        gradient_accumulation_steps=optim.accumulation,
        **_checkpointing(optim.gradient_checkpointing),
        max_grad_norm=optim.clip_norm,
        learning_rate=optim.lr,
        fp16=precision.name == "fp16",
        bf16=precision.name == "bf16",
        use_cpu=not on_gpu,
        seed=run.seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=run.keep_checkpoints,
        load_best_model_at_end=True,
        metric_for_best_model="macro_f1",
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        logging_steps=run.log_every_steps,
        label_names=["labels", "known"],
        remove_unused_columns=False,
        dataloader_num_workers=run.workers,
        dataloader_pin_memory=on_gpu,
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        report_to="none",  # the trackers are among the callbacks
        run_name=run.name,
    )


def _checkpointing(enabled: bool) -> dict[str, Any]:
    """Recomputation of activations, not of the re-entrant kind: with LoRA that one trains nothing but the head."""
    if not enabled:
        return {}
    return {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}


def _longest_first(encoded: datasets.Dataset) -> datasets.Dataset:
    """Rows by length, so that a batch pads little."""
    lengths = np.asarray(encoded.data.column("length").to_numpy())
    return encoded.select(np.argsort(-lengths, kind="stable"))


def _had_stopped_early(checkpoint: Path, config: EvalConfig) -> bool:
    """Whether the run was at its end when this checkpoint was written, for lack of progress."""
    history = (read_state(checkpoint) or {}).get("log_history", [])
    return config.patience is not None and has_stalled(history, config.stop_metrics, config.patience)


def _restore_finished(trainer: EmotionTrainer, checkpoint: Path) -> None:
    """Take up the state and the best weights of a run that has nothing left to train."""
    trainer.state = type(trainer.state).load_from_json(str(checkpoint / "trainer_state.json"))
    trainer._load_best_model()


def _step_of(checkpoint: str | None) -> int:
    return int(checkpoint.rsplit("-", 1)[-1]) if checkpoint else 0
