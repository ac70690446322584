"""From splits to what the training loop takes: tokens, order of the rows, and the loss."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import datasets
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.tokenizer import TextTokenizer
from training.config import Config
from training.data.augment.rows import augment_train
from training.data.batching import BatchOrderSampler, build_sampler
from training.data.corpus import Splits
from training.data.encode import encode_corpus, lengths_of, token_cache
from training.distillation import Distillation, ensemble_logits, read_teachers, with_teacher
from training.losses.build import build_loss
from training.losses.class_weights import LabelCounts
from training.losses.elementwise import Loss
from training.model.classifier import TokenizerPair
from training.runtime import processes

log = logging.getLogger("training")


@dataclass(frozen=True)
class TrainingRows:
    """Encoded splits, the order of the training rows, and the loss over them, with a teacher's part if there is one."""

    train: datasets.Dataset
    dev: datasets.Dataset
    sampler: BatchOrderSampler
    tokenizer: TextTokenizer
    loss: Loss
    distillation: Distillation | None = None


def build_rows(config: Config, data: Splits, tokenizer: TokenizerPair) -> TrainingRows:
    """Tokens of both splits, with further rows for rare labels if asked for, the order of training, and the loss.

    With `distill.teachers` the training rows have their logits too.

    Raises:
        EmotionError: when a teacher cannot be read, or does not fit this run.
    """
    teachers = read_teachers(config.distill, data.labels, config.loss.task)
    augmented = augment_train(data, config.augment, config.run.seed)
    for line in augmented.lines():
        log.info("%s", line)
    train_part, cache = augmented.corpus, token_cache(config.data.cache_dir)
    with processes.main_first():
        train_rows, dev_rows = (encode_corpus(part, tokenizer.tokens, cache=cache) for part in (train_part, data.dev))
    sampler = build_sampler(
        train_part, lengths_of(train_rows), config.data.sampling,
        batch_size=config.optim.batch_size * processes.world_size(), seed=config.run.seed,
    )  # fmt: skip
    loss = build_loss(config.loss, LabelCounts.of(train_part.targets, train_part.known))
    if not teachers:
        return TrainingRows(train_rows, dev_rows, sampler, tokenizer.tokens, loss)
    with processes.main_first():
        logits = ensemble_logits(
            teachers, train_part, data.labels,
            batch_size=config.eval.batch_size, cache=cache and cache.parent / "teachers",
            precision=config.distill.precision,
        )  # fmt: skip
    distillation = Distillation(config.distill.weight, config.distill.temperature, config.loss.activation)
    return TrainingRows(with_teacher(train_rows, logits), dev_rows, sampler, tokenizer.tokens, loss, distillation)


class EpochCallback(TrainerCallback):
    """Tells the order of rows which epoch begins.

    Trainer does so too, but that of transformers 5 does not reach it in one of several processes that goes on in the
    middle of an epoch: the rest of that epoch would have the rows of the first.
    """

    def __init__(self, sampler: BatchOrderSampler) -> None:
        self.sampler = sampler

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """The epoch is that of the steps already done, whole or not."""
        self.sampler.set_epoch(int(state.epoch or 0))
