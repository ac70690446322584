"""Training from start to end: build the Trainer, let it run within memory, keep the best weights."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from peft import PeftModel
from torch import nn
from transformers import EvalPrediction, PrinterCallback, Trainer, TrainerCallback
from transformers.utils import logging as hf_logging

from shared.calibration import Calibration, sigmoid
from shared.errors import ConfigError
from shared.intensity_metrics import pearson, spearman
from shared.metrics import accuracy, brier, macro_f1, micro_f1, weighted_f1
from shared.thresholds import decide
from training.calibration.policies import count_on_grid, f1_thresholds
from training.callbacks.monitors import Watch
from training.config import Config
from training.data.collate import Collator
from training.loop.memory import train_within_memory
from training.loop.progress import ProgressCallback, SaveCallback, StopRequest, StopWhenStalled
from training.loop.resume import is_finished, point_to_best, restore_finished
from training.loop.trainer import EmotionTrainer, training_arguments
from training.loop.training_rows import TrainingRows
from training.model.compiled import MULTIPLE, compile_layers
from training.model.layers import find_depths
from training.model.tuning import build_unfreezing
from training.runtime.processes import on_any, sharding
from training.runtime.resources import Precision, disk_errors, heap_out_of_sight
from training.runtime.run_folder import RunFolder, read_state


@dataclass(frozen=True)
class Progress:
    """How training went.

    Attributes:
        steps: optimiser steps done.
        best_step: step of the checkpoint whose weights the model has now.
        best_score: its metric `eval.best_by` on dev, before calibration.
        history: every logged entry, in order.
    """

    steps: int
    best_step: int
    best_score: float
    history: list[dict[str, Any]]

    @classmethod
    def of(cls, folder: RunFolder) -> Progress:
        """What the newest checkpoint of a run says; one of its checkpoints was evaluated."""
        state = read_state(folder.last_checkpoint() or folder.checkpoints) or {}
        best = float(state.get("best_metric") or "nan")
        return cls(
            int(state["global_step"]), _step_of(state["best_model_checkpoint"]), best, list(state["log_history"])
        )


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
    """Train the model; it ends with the weights of the best checkpoint, unless they are split between processes.

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
        TrainingError: when its numbers are no longer finite, it does not fit into memory, or the best checkpoint is
            gone.
    """
    if resume_from is not None:
        point_to_best(resume_from)
    request, closing = StopRequest(), contextlib.ExitStack()
    trained = [weight for weight in model.parameters() if weight.requires_grad]

    def make(config: Config) -> EmotionTrainer:
        for weight in trained:  # of which a Trainer that ran out of memory may have frozen some for the time being
            weight.requires_grad_(True)
        made = build_trainer(model, rows, config, folder, precision=precision, request=request)
        watch = made.watch
        if watch is not None:
            closing.push(lambda kind, *_: watch.close(failed=kind is not None))
        for callback in callbacks:
            made.add_callback(callback)  # type: ignore[no-untyped-call]
        return made

    if resume_from is not None and is_finished(resume_from, config):
        trainer = make(config)
        restore_finished(trainer, resume_from)
    else:
        with closing, disk_errors(), request.listening(), heap_out_of_sight():
            trainer = train_within_memory(make, config, resume_from)
        trainer.log_shapes()
        if on_any(request.received):
            raise KeyboardInterrupt
    if sharding() is None:  # or every later forward pass would run in autocast too
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
    """The Trainer of a run, ready to train.

    Raises:
        ConfigError: when FSDP or DeepSpeed was launched where it does not work.
    """
    _name_layers(model)
    compiled = None
    if config.optim.compile != "none":
        compiled = compile_layers(model, config.data.max_length, stages=_stages(model, config))
    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # ours is drawn for a person alone
    arguments = training_arguments(config, folder.checkpoints, precision)
    watch = Watch(
        config.watch, model, folder.logs, parameters=config.flat(),
        samples_per_step=config.optim.batch_size * config.optim.accumulation * arguments.world_size,
        scaled=arguments.fp16, sharded=sharding() is not None,
    )  # fmt: skip
    callbacks = [
        ProgressCallback(folder.logs / "train.jsonl", enabled=arguments.process_index == 0, best_by=config.best_by),
        SaveCallback(config.run.save_every_steps, request or StopRequest()),
    ]
    callbacks += watch.callbacks
    if config.eval.patience is not None:
        callbacks.append(StopWhenStalled(config.stop_metrics, config.eval.patience))
    if config.tuning.method == "progressive":
        callbacks.append(build_unfreezing(model, config.tuning))
    collator = Collator(rows.tokenizer, None if compiled is None else MULTIPLE)
    trainer = EmotionTrainer(
        config=config,
        rows=rows,
        watch=watch,
        compiled=compiled,
        model=model,
        args=arguments,
        train_dataset=rows.train,
        eval_dataset=_longest_first(rows.dev),
        data_collator=collator.__call__,  # the object's tokenizer is not one that Trainer can save
        compute_metrics=lambda prediction: (
            dev_scores(prediction, config.calibration.threshold_shrinkage, config.loss.activation)
            if config.task.decides
            else dev_correlations(prediction)
        ),
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)  # type: ignore[no-untyped-call]
    _check_sharded(trainer)
    return trainer


def _stages(model: nn.Module, config: Config) -> int:
    """How often other weights are trained in a run, at most."""
    return 2 + len(find_depths(model).layers) if config.tuning.method == "progressive" else 1


def _name_layers(model: nn.Module) -> None:
    """Tell FSDP what to gather at a time, which transformers does not know of DeBERTa: one layer of the encoder."""
    if sharding() == "FSDP":
        base = model.get_base_model() if isinstance(model, PeftModel) else model
        base._no_split_modules = [type(find_depths(model).layers[0]).__name__]  # type: ignore[assignment]


def _check_sharded(trainer: Trainer) -> None:
    kind = sharding()
    if kind is not None and not (trainer.is_fsdp_enabled if kind == "FSDP" else trainer.is_deepspeed_enabled):
        raise ConfigError(
            f"{kind} was launched, and accelerate does not start it without a GPU: it would train unsharded.",
            hint="Launch with configs/accelerate/multi_gpu.yaml or torchrun instead.",
        )


def _longest_first(encoded: datasets.Dataset) -> datasets.Dataset:
    """Rows by length, so that a batch pads little."""
    lengths = np.asarray(encoded.data.column("length").to_numpy())
    return encoded.select(np.argsort(-lengths, kind="stable"))


def _step_of(checkpoint: str | None) -> int:
    return int(checkpoint.rsplit("-", 1)[-1]) if checkpoint else 0


def dev_scores(prediction: EvalPrediction, shrinkage: float, activation: str = "sigmoid") -> dict[str, float]:
    """Macro and micro F1 and Brier score before calibration; with a softmax accuracy and weighted F1 too.

    Args:
        prediction: logits, and as label ids targets and known entries, each of shape (N, L).
        shrinkage: of the thresholds, which are fitted on the same rows; a softmax decides for its highest label.
        activation: from logits to probabilities.
    """
    targets, known = (np.asarray(array) for array in prediction.label_ids)
    identity = Calibration.identity(targets.shape[1], activation)
    probabilities, truth = identity.apply(prediction.predictions), targets >= 0.5
    single_label = activation == "softmax"
    if single_label:
        decisions = decide(probabilities, 0.0, argmax=True)
    else:
        decisions = decide(probabilities, f1_thresholds(count_on_grid(truth, probabilities, known), shrinkage))
    shares = {"accuracy": accuracy, "weighted_f1": weighted_f1} if single_label else {}
    return {
        "macro_f1": macro_f1(truth, decisions, known),
        "micro_f1": micro_f1(truth, decisions, known),
        **{name: measure(truth, decisions, known) for name, measure in shares.items()},
        "brier": brier(truth, probabilities, known),
    }


def dev_correlations(prediction: EvalPrediction) -> dict[str, float]:
    """Pearson and Spearman of intensities, means over the labels where they are defined; -1, the worst, where nowhere.

    Args:
        prediction: logits of shape (N, L), or (N, L * (K-1)) of an ordinal head, and as label ids shares of the scale
            and known entries, each of shape (N, L).
    """
    targets, known = (np.asarray(array) for array in prediction.label_ids)
    shares = sigmoid(prediction.predictions).reshape(*targets.shape, -1).mean(axis=-1)
    found = {}
    for name, correlation in {"pearson": pearson, "spearman": spearman}.items():
        of_labels = [correlation(targets[rows, place], shares[rows, place]) for place, rows in enumerate(known.T)]
        defined = [value for value in of_labels if value is not None]
        found[name] = float(np.mean(defined)) if defined else -1.0
    return found
