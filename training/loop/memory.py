"""Training that does not fit into memory: smaller batches, more of them for one step."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from transformers import Trainer

from shared.errors import TrainingError
from shared.modeling.device import has_cuda, is_out_of_memory
from training.config import Config
from training.loop.resume import NothingLeftError, change_state

log = logging.getLogger("training")

_Trainer = TypeVar("_Trainer", bound=Trainer)


def halved(config: Config, processes: int) -> Config:
    """Half the batch and twice the accumulation: the same rows in each optimiser step; half the batch on dev too.

    Raises:
        TrainingError: when it cannot be halved, it is not wanted, or other processes would wait in vain.
    """
    optim = config.optim
    size, accumulation = optim.batch_size, optim.accumulation
    if not optim.fit_memory or processes > 1 or size % 2:
        raise TrainingError(
            f"out of memory with optim.batch_size {size}.",
            hint=f"Try --optim.batch_size {max(1, size // 2)} --optim.accumulation {2 * accumulation} "
            "--optim.gradient_checkpointing true, or a smaller --data.max_length.",
        )
    smaller = replace(optim, batch_size=size // 2, accumulation=2 * accumulation)
    return replace(config, optim=smaller, eval=replace(config.eval, batch_size=max(1, config.eval.batch_size // 2)))


def train_within_memory(make: Callable[[Config], _Trainer], config: Config, resume_from: Path | None) -> _Trainer:
    """Train, with smaller batches from the same step on whenever memory runs out.

    Args:
        make: gives a Trainer of the same model for a configuration.
        config: the whole configuration.
        resume_from: a checkpoint.

    Raises:
        TrainingError: when the smallest batch does not fit either.
    """
    while True:
        trainer = make(config)
        if _runs_through(trainer, resume_from):
            return trainer
        # outside of the except block: the error holds every tensor of the failed step
        config = halved(config, trainer.args.world_size)
        trainer.model.zero_grad(set_to_none=True)  # type: ignore[union-attr]
        resume_from = _keep_progress(trainer, resume_from)
        log.warning(
            "Out of memory after step %d: going on with optim.batch_size %d and optim.accumulation %d, the same rows "
            "a step.", trainer.state.global_step, config.optim.batch_size, config.optim.accumulation,
        )  # fmt: skip
        trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        trainer.accelerator.free_memory()
        del trainer
        gc.collect()
        if has_cuda():
            torch.cuda.empty_cache()


def _runs_through(trainer: Trainer, resume_from: Path | None) -> bool:
    if resume_from is not None:
        # else the Trainer takes the batches of the checkpoint, but not its accumulation
        change_state(resume_from, train_batch_size=trainer.args.train_batch_size)
    try:
        trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
    except NothingLeftError:
        trainer._load_best_model()  # type: ignore[no-untyped-call]
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def _keep_progress(trainer: Trainer, resume_from: Path | None) -> Path | None:
    """A checkpoint of the last whole step; the one before when nothing was done since."""
    done = trainer.state.global_step
    if done == 0 or (resume_from is not None and resume_from.name == f"checkpoint-{done}"):
        return resume_from
    path = Path(str(trainer.args.output_dir)) / f"checkpoint-{done}"
    if not (path / "trainer_state.json").is_file():
        trainer._save_checkpoint(trainer.model, trial=None)  # type: ignore[no-untyped-call]
    return path
