"""Hugging Face's Trainer with our loss, batches, optimiser, schedule and average of the weights, and its arguments."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import Trainer, TrainingArguments

from shared.modeling.device import has_cuda
from training.callbacks.monitors import Watch, check_finite
from training.config import Config
from training.loop.recorded_steps import CudaRecorder, RecordedSteps, reason_against
from training.loop.resume import EvaluateFirst, best_is_missing
from training.loop.training_rows import EpochCallback, TrainingRows
from training.model.compiled import CompiledLayers, largest_number_of_shapes
from training.optim.ema import Ema, EmaCallback
from training.optim.optimizer import PlateauSchedule, build_optimizer, build_schedule, clip_gradients, weight_penalty
from training.runtime.processes import sharding
from training.runtime.resources import Precision

log = logging.getLogger("training")

SHARE = "share"
"""Of a recorded batch: what its loss counts in an optimiser step of several batches."""


class EmotionTrainer(Trainer):
    """Trainer with a masked loss over `labels` and `known`, a given order of rows, and our optimiser and schedule.

    With `optim.ema_decay` the average of the weights is what is evaluated, and what the best checkpoint gives; the
    checkpoint's `model.safetensors` holds the weights that training continues with, the average lies beside it.
    """

    def __init__(
        self,
        *,
        config: Config,
        rows: TrainingRows,
        watch: Watch | None = None,
        compiled: CompiledLayers | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.config = config
        self.watch = watch
        self.compiled = compiled
        self.sampler = rows.sampler
        self.add_callback(EpochCallback(self.sampler))  # type: ignore[no-untyped-call]
        self.loss = rows.loss
        self.distillation = rows.distillation
        self.sharded = sharding() is not None
        self.resumed_from: str | None = None
        self.share_of_row = 0.0
        self.ema: Ema | None = None
        if config.optim.ema_decay is not None:
            weights = options["model"].named_parameters()
            self.ema = Ema([item for item in weights if item[1].requires_grad], config.optim.ema_decay)
            self.add_callback(EmaCallback(self.ema))  # type: ignore[no-untyped-call]
        self.add_callback(EvaluateFirst(self))  # type: ignore[no-untyped-call]
        self.recorded = self._recorded_steps() if config.optim.compile == "graphs" else None

    def _recorded_steps(self) -> RecordedSteps | None:
        checkpointing = self.config.optim.gradient_checkpointing
        reason = reason_against(self.args.device, self.args.world_size, checkpointing=checkpointing)
        if reason is not None:
            log.warning("optim.compile graphs: compiled layers WITHOUT CUDA graphs, as %s.", reason)
            return None
        limit = largest_number_of_shapes(self.config.data.max_length)
        return RecordedSteps(self.model.parameters(), limit, CudaRecorder())  # type: ignore[union-attr]

    def create_accelerator_and_postprocess(self) -> None:
        """As the base class, with the cheaper clipping where gradients lie whole in the memory of a CPU."""
        super().create_accelerator_and_postprocess()  # type: ignore[no-untyped-call]
        if self.accelerator.device.type == "cpu" and sharding() is None:
            self.accelerator.clip_grad_norm_ = self._clip

    def _clip(self, parameters: Iterable[Tensor], max_norm: float) -> Tensor:
        self.accelerator.unscale_gradients()
        return clip_gradients(parameters, max_norm)

    def _get_train_sampler(self, *_: Any, **__: Any) -> Sampler[int]:
        return self.sampler

    def get_batch_samples(self, *args: Any, **options: Any) -> tuple[list[dict[str, Tensor]], Any]:
        """The batches of one optimiser step, as the base class gives them; their rows are counted."""
        batches, items = super().get_batch_samples(*args, **options)
        rows = sum(len(batch["labels"]) for batch in batches)
        self.share_of_row = len(batches) / rows if rows else 0.0
        return batches, items

    def log_shapes(self) -> None:
        """Log how many shapes were compiled and recorded."""
        for met in (self.compiled, self.recorded):
            if met is not None:
                log.info("%s", met.summary())

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **options: Any) -> Tensor:
        """The loss of a batch whose gradients are added: as the base class does, or from a recording of it."""
        step = super().training_step
        if self.recorded is None:
            return step(model, inputs, *args, **options)
        batch = self._prepare_inputs(inputs)
        share = torch.tensor(self.share_of_row * len(batch["labels"]) or 1.0, device=self.args.device)
        model.train()
        loss = self.recorded(
            lambda given: step(model, dict(given), *args, **options),
            {**batch, SHARE: share},
            constants=getattr(self, "current_gradient_accumulation_steps", None),
        )
        check_finite(loss, model, batch, self.state.global_step)
        return loss

    def compute_loss(  # type: ignore[override]  # the versions of transformers differ in further arguments
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any
    ) -> Tensor | tuple[Tensor, Any]:
        """The loss of a batch, and the model's outputs when asked for."""
        encoded = {name: value for name, value in inputs.items() if name in ("input_ids", "attention_mask")}
        outputs = model(**encoded)
        loss = self.loss(outputs.logits, inputs["labels"], inputs["known"])
        if model.training and self.distillation is not None:
            loss = self.distillation(loss, outputs.logits, inputs["teacher"], inputs["known"])
        recorded = SHARE in inputs  # nothing may be read now, so the loss is checked afterwards
        if model.training and not recorded:
            check_finite(loss.detach(), None if self.sharded else model, inputs, self.state.global_step)
        optim = self.config.optim
        # batches of a step are averaged: each counts by its rows, as in one large batch
        if recorded:
            loss = loss * inputs[SHARE]
        elif model.training and self.share_of_row:
            loss = loss * (self.share_of_row * len(inputs["labels"]))
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
            self.lr_scheduler.observe(metrics["eval_macro_f1" if self.config.task.decides else "eval_pearson"])
        return metrics

    def log(self, logs: dict[str, float], *args: Any, **options: Any) -> None:
        """Log the metrics of the training step with those of what watches it."""
        if "loss" in logs and self.watch is not None:
            logs = {**logs, **self.watch.metrics()}
        super().log(logs, *args, **options)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)  # type: ignore[no-untyped-call]
        if self.ema is not None and self.args.should_save:
            self.ema.save(Path(output_dir))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if self.args.device.type == "cpu":  # in one of several processes it is cpu:0, which torch.load does not know
            vars(self.args)["_setup_devices"] = torch.device("cpu")
        super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[no-untyped-call]
        self.resumed_from = checkpoint
        if self.ema is not None and checkpoint is not None:
            self.ema.load(Path(checkpoint))

    def _load_best_model(self) -> None:
        if self.sharded:
            return  # this model ends sharded; whoever needs it whole reads the best checkpoint
        best = Path(str(self.state.best_model_checkpoint))
        if not any(best.glob("*model*.safetensors")):  # the base class warns, and keeps the weights there are
            raise best_is_missing(best)
        super()._load_best_model()  # type: ignore[no-untyped-call]
        if self.ema is not None:
            self.ema.load(best)
            self.ema.copy_to_model()


def training_arguments(config: Config, output: Path, precision: Precision, **changes: Any) -> TrainingArguments:
    """The arguments of the Trainer; what they lack, such as the warm-up ratio, is built by `EmotionTrainer`.

    Args:
        config: the whole configuration.
        output: folder of the checkpoints.
        precision: of the forward pass.
        changes: arguments in place of those of a run.
    """
    optim, run = config.optim, config.run
    on_gpu = has_cuda()
    # or it is taken over from an earlier run in this process
    os.environ["ACCELERATE_MIXED_PRECISION"] = {"fp32": "no"}.get(precision.name, precision.name)
    arguments: dict[str, Any] = dict(
        output_dir=str(output),
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
        metric_for_best_model=config.best_by,
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
    return _on_one_gpu(TrainingArguments(**arguments | changes))


def _on_one_gpu(arguments: TrainingArguments) -> TrainingArguments:
    """Without `nn.DataParallel` of transformers, by which a step of one process has `optim.batch_size` rows a GPU."""
    _ = arguments.device  # counts the GPUs
    count = arguments.n_gpu
    if count > 1:
        arguments._n_gpu = 1
        log.info(
            "One of %d GPUs is used; for all: accelerate launch --multi_gpu --num_processes %d -m training.run, with "
            "optim.batch_size divided by %d for the same rows a step.", count, count, count,
        )  # fmt: skip
    return arguments


def _checkpointing(enabled: bool) -> dict[str, Any]:
    """Recomputation of activations, not of the re-entrant kind: with LoRA that one trains nothing but the head."""
    if not enabled:
        return {}
    renamed = hasattr(TrainingArguments, "activation_checkpointing")  # by transformers 5, which warns of the old name
    name = "activation_checkpointing" if renamed else "gradient_checkpointing"
    return {name: True, f"{name}_kwargs": {"use_reentrant": False}}
