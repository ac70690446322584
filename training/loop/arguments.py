"""What Hugging Face's Trainer is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from shared.modeling.device import has_cuda
from training.config import Config
from training.runtime.resources import Precision


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
        metric_for_best_model=config.eval.best_by,
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
    return TrainingArguments(**arguments | changes)


def _checkpointing(enabled: bool) -> dict[str, Any]:
    """Recomputation of activations, not of the re-entrant kind: with LoRA that one trains nothing but the head."""
    if not enabled:
        return {}
    return {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}
