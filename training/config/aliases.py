"""The key meant by a name that is not one: what other libraries call it, else the nearest in spelling."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

SYNONYMS = {
    "learning_rate": "optim.lr",
    "base_lr": "optim.lr",
    "max_lr": "optim.lr",
    "classifier_lr": "optim.head_lr",
    "head_learning_rate": "optim.head_lr",
    "llrd": "optim.layer_decay",
    "layerwise_lr_decay": "optim.layer_decay",
    "layer_lr_decay": "optim.layer_decay",
    "per_device_train_batch_size": "optim.batch_size",
    "per_gpu_train_batch_size": "optim.batch_size",
    "train_batch_size": "optim.batch_size",
    "micro_batch_size": "optim.batch_size",
    "batch_size": "optim.batch_size",
    "bs": "optim.batch_size",
    "per_device_eval_batch_size": "eval.batch_size",
    "eval_batch_size": "eval.batch_size",
    "num_train_epochs": "optim.epochs",
    "num_epochs": "optim.epochs",
    "max_epochs": "optim.epochs",
    "n_epochs": "optim.epochs",
    "max_train_steps": "optim.max_steps",
    "num_training_steps": "optim.max_steps",
    "gradient_accumulation_steps": "optim.accumulation",
    "gradient_accumulation": "optim.accumulation",
    "accumulate_grad_batches": "optim.accumulation",
    "grad_accum": "optim.accumulation",
    "max_grad_norm": "optim.clip_norm",
    "gradient_clip_val": "optim.clip_norm",
    "grad_clip": "optim.clip_norm",
    "gradient_clipping": "optim.clip_norm",
    "lr_scheduler_type": "optim.schedule",
    "lr_scheduler": "optim.schedule",
    "scheduler": "optim.schedule",
    "warmup_steps": "optim.warmup_ratio",
    "warmup": "optim.warmup_ratio",
    "warmup_proportion": "optim.warmup_ratio",
    "optim": "optim.optimizer",
    "optimiser": "optim.optimizer",
    "optim.name": "optim.optimizer",
    "adam_beta1": "optim.beta1",
    "adam_beta2": "optim.beta2",
    "adam_epsilon": "optim.epsilon",
    "eps": "optim.epsilon",
    "ema": "optim.ema_decay",
    "fp16": "optim.precision",
    "bf16": "optim.precision",
    "mixed_precision": "optim.precision",
    "dtype": "optim.precision",
    "activation_checkpointing": "optim.gradient_checkpointing",
    "auto_find_batch_size": "optim.fit_memory",
    "max_seq_length": "data.max_length",
    "max_seq_len": "data.max_length",
    "max_len": "data.max_length",
    "model_max_length": "data.max_length",
    "dataset": "data.source",
    "dataset_name": "data.source",
    "train_file": "data.path",
    "data_dir": "data.path",
    "max_train_samples": "data.max_train_rows",
    "group_by_length": "data.sampling.group_by_length",
    "model_name_or_path": "model.name",
    "model_name": "model.name",
    "pretrained_model_name_or_path": "model.name",
    "model.path": "model.name",
    "dropout": "model.hidden_dropout",
    "hidden_dropout_prob": "model.hidden_dropout",
    "attention_probs_dropout_prob": "model.attention_dropout",
    "classifier_dropout": "model.head_dropout",
    "lora": "tuning.method",
    "use_lora": "tuning.method",
    "r": "tuning.rank",
    "lora_r": "tuning.rank",
    "lora_rank": "tuning.rank",
    "lora_alpha": "tuning.alpha",
    "lora_dropout": "tuning.dropout",
    "target_modules": "tuning.targets",
    "lora_target_modules": "tuning.targets",
    "unfrozen_layers": "tuning.top_layers",
    "loss": "loss.name",
    "loss_fn": "loss.name",
    "label_smoothing": "loss.smoothing",
    "label_smoothing_factor": "loss.smoothing",
    "gamma_neg": "loss.gamma_negative",
    "gamma_pos": "loss.gamma_positive",
    "clip": "loss.margin",
    "pos_weight": "loss.weighting",
    "class_weights": "loss.weighting",
    "early_stopping_patience": "eval.patience",
    "early_stopping": "eval.patience",
    "report_to": "watch.trackers",
    "logging_steps": "run.log_every_steps",
    "save_steps": "run.save_every_steps",
    "save_total_limit": "run.keep_checkpoints",
    "output_dir": "run.output_dir",
    "run_name": "run.name",
    "seed": "run.seed",
    "resume_from_checkpoint": "run.resume",
    "overwrite_output_dir": "run.overwrite",
    "num_workers": "run.workers",
    "dataloader_num_workers": "run.workers",
    "num_threads": "run.threads",
}
"""Names in Hugging Face's Trainer and scripts, peft, Lightning, timm and papers; with a section where that matters."""
SAME_SECTION = 0.7
ANYWHERE = 0.85
"""Least likeness of spelling (`difflib` ratio): below it a hint misleads more often than it helps."""


def meant_key(key: str, known: Iterable[str]) -> str | None:
    """The known key that `key` stands for, None rather than one that may mislead.

    Args:
        key: dotted, or the last part alone; hyphens and capitals do not matter.
        known: keys that exist.
    """
    asked = key.lower().replace("-", "_")
    return next(_candidates(asked, list(known)), None)


def _candidates(asked: str, keys: list[str]) -> Iterator[str]:
    """What may be meant, the surest first."""
    section, _, name = asked.rpartition(".")
    meant = SYNONYMS.get(asked) or SYNONYMS.get(name)
    if meant in keys:
        yield meant
    names = {key: key.rpartition(".")[2] for key in keys}
    here = {names[key]: key for key in keys if key.rpartition(".")[0] == section}
    yield from _only(key for its_name, key in here.items() if section and its_name.startswith(f"{name}_"))
    yield from _only(key for key in keys if names[key] == name)
    yield from _near(name, here, SAME_SECTION)
    yield from _near(asked, {key: key for key in keys}, ANYWHERE)
    anywhere = {names[key]: key for key in keys if names[key] != name}
    yield from _near(name, anywhere | {other: key for other, key in SYNONYMS.items() if key in keys}, ANYWHERE)


def _only(found: Iterable[str]) -> list[str]:
    """The one that was found; nothing when there are several to choose from."""
    keys = list(found)
    return keys if len(keys) == 1 else []


def _near(name: str, keys: Mapping[str, str], likeness: float) -> list[str]:
    return [keys[near] for near in difflib.get_close_matches(name, keys, n=1, cutoff=likeness)]
