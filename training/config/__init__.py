"""Everything a user can set, section by section; `training.config.parser` reads it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse.typing import ClosedUnitInterval, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from shared.files import replacing_file
from training.config.augment import AugmentConfig
from training.config.callbacks import WatchConfig
from training.config.data import DataConfig
from training.config.losses import LossConfig
from training.config.preflight import PreflightConfig


@dataclass(frozen=True)
class RunConfig:
    """Where a run writes and how it is repeated."""

    name: str = "default"
    """Name of the run: it writes to <output_dir>/<name>/ and the link <output_dir>/latest points there at the end."""
    output_dir: str = "runs"
    """Folder of all runs."""
    seed: int = 42
    """Seed of the new weights, the order of the rows, dropout and bootstrap intervals."""
    resume: bool = False
    """Continue the run of this name exactly where its last checkpoint was written."""
    overwrite: bool = False
    """Start again although the run of this name is unfinished; its checkpoints are lost."""
    save_every_steps: PositiveInt | None = None
    """Write a checkpoint every so many optimiser steps, besides the one after every epoch."""
    keep_checkpoints: PositiveInt = 2
    """Newest checkpoints to keep; the best one is always kept too."""
    log_every_steps: PositiveInt = 20
    """Optimiser steps between two entries of the training log."""
    threads: PositiveInt | None = None
    """CPU threads for training; what the machine or the container allows when left out."""
    workers: NonNegativeInt = 0
    """Processes that prepare batches; 0 prepares them in the training process (best for short texts on a CPU)."""


@dataclass(frozen=True)
class ModelConfig:
    """The encoder and the classification head."""

    name: str = "starter"
    """Encoder: "starter" (needs no download), a folder, or a name on the hub such as microsoft/deberta-v3-base."""
    pooling: Literal["auto", "cls", "mean"] = "auto"
    """How tokens become one vector: "cls" first token (native class), "mean" of all; "auto" = mean for the starter."""
    head_width: PositiveInt | None = None
    """Width of the head's hidden layer; the encoder's width when left out."""
    head_activation: str | None = None
    """Activation of the head's hidden layer (gelu, tanh, relu, ...); as in the checkpoint when left out."""
    head_dropout: ClosedUnitInterval | None = None
    """Dropout probability before the output layer; as in the checkpoint when left out."""
    hidden_dropout: ClosedUnitInterval | None = None
    """Dropout probability of the encoder's hidden states; as in the checkpoint when left out."""
    attention_dropout: ClosedUnitInterval | None = None
    """Dropout probability of attention weights; as in the checkpoint when left out."""
    bottom_dropout: ClosedUnitInterval | None = None
    """Dropout probability of hidden states in the lowest layer, in place of hidden_dropout; needs top_dropout too."""
    top_dropout: ClosedUnitInterval | None = None
    """The same in the highest layer; the layers between change linearly from one to the other."""
    fast_attention: bool = True
    """Compute DeBERTa's attention in its faster, equal form."""


@dataclass(frozen=True)
class TuningConfig:
    """Which weights are trained."""

    method: Literal["full", "lora", "partial", "progressive"] = "full"
    """"full" trains every weight; "lora" low-rank updates (Hu et al. 2021), the pooler and the head; "partial" the top
    layers and the head; "progressive" the same at first, then layer after layer downwards (Howard and Ruder 2018)."""
    rank: PositiveInt = 16
    """LoRA: rank r of the updates."""
    alpha: PositiveFloat = 32.0
    """LoRA: updates are scaled by alpha / rank."""
    dropout: ClosedUnitInterval = 0.05
    """LoRA: dropout probability before the updates."""
    targets: list[str] | None = None
    """LoRA: names of the linear layers to update; attention and feed-forward of the encoder when left out."""
    top_layers: NonNegativeInt = 2
    """Partial, progressive: layers trained besides the head, counted from the top; 0 trains the head alone."""
    train_pooler: bool = True
    """Partial: train the pooler that some encoders have inside (BERT); a new one is part of the head."""
    unfreeze: Literal["schedule", "plateau"] = "schedule"
    """Progressive: unfreeze every so many epochs, or after so many evaluations without a better macro F1 on dev."""
    unfreeze_every: PositiveFloat = 1.0
    """Progressive: epochs, or evaluations, between two stages; after the lowest layer come the embeddings."""
    unfreeze_layers: PositiveInt = 1
    """Progressive: layers that each stage adds."""


@dataclass(frozen=True)
class OptimConfig:
    """How it is minimised."""

    epochs: PositiveFloat = 8.0
    """Passes over the training rows."""
    max_steps: PositiveInt | None = None
    """Stop after this many optimiser steps, whatever `epochs` says."""
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop", "adafactor"] = "adamw"
    """Each needs its own `lr`: sgd about 100 times that of adamw; that of adafactor is a share of a weight's size."""
    lr: PositiveFloat = 2e-4
    """Highest learning rate of the encoder (of its top layer, when rates differ by layer)."""
    head_lr: PositiveFloat | None = None
    """Highest learning rate of the head; `lr` when null."""
    layer_decay: ClosedUnitInterval = 1.0
    """Each layer's learning rate is that of the layer above times this; 0.8 to 0.95 are usual, 1 = no difference."""
    weight_decay: NonNegativeFloat = 0.01
    """Weight decay of all weights but biases and normalisation; adam, sgd and rmsprop add it to the gradient."""
    l1: NonNegativeFloat = 0.0
    """Added to the loss: this times the sum of |w| over all trained matrices."""
    l2: NonNegativeFloat = 0.0
    """Added to the loss: this times the sum of w^2 over all trained matrices."""
    beta1: ClosedUnitInterval = 0.9
    """adamw, adam: decay of the mean of gradients."""
    beta2: ClosedUnitInterval = 0.999
    """adamw, adam, rmsprop: decay of the mean of squared gradients."""
    epsilon: PositiveFloat = 1e-8
    """adamw, adam, rmsprop: added to the denominator."""
    momentum: ClosedUnitInterval = 0.9
    """sgd, rmsprop: share of the last step that is kept."""
    schedule: Literal["linear", "cosine", "constant", "plateau"] = "linear"
    """After the warm-up the learning rate decays to 0 (linear, cosine), stays, or falls when macro F1 on dev stalls."""
    plateau_factor: ClosedUnitInterval = 0.5
    """Plateau: factor of each reduction."""
    plateau_patience: PositiveInt = 1
    """Plateau: evaluations in a row without a better macro F1 before a reduction; less than eval.patience."""
    warmup_ratio: ClosedUnitInterval = 0.1
    """Share of all steps in which the learning rate rises from 0."""
    clip_norm: NonNegativeFloat = 1.0
    """Largest norm of the gradient of all weights; 0 does not clip."""
    batch_size: PositiveInt = 32
    """Rows in one forward pass of one process; times `accumulation` times processes = rows of one optimiser step."""
    ema_decay: ClosedUnitInterval | None = None
    """Evaluate and keep the exponential moving average of the weights: this decay per optimiser step (0.999 averages
    over about 1,000 steps, fewer at the start); no average when null."""
    accumulation: PositiveInt = 1
    """Forward passes whose gradients are summed for one optimiser step."""
    fit_memory: bool = True
    """When memory runs out, go on with half the batch_size and twice the accumulation (one process, even batches)."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Autocast: "auto" = fp16 with gradient scaling on CUDA, bf16 on a CPU that computes in it, else fp32."""


@dataclass(frozen=True)
class EvalConfig:
    """How progress and the result are measured."""

    batch_size: PositiveInt = 64
    """Rows in one forward pass of evaluation."""
    patience: PositiveInt | None = 3
    """Stop after this many evaluations on dev in which none of `stop_metrics` got better; never when null."""
    stop_metrics: list[Literal["macro_f1", "micro_f1", "brier", "loss"]] = field(default_factory=lambda: ["macro_f1"])
    """What has to stall for a stop, all of it together; F1 with thresholds tuned on dev, before calibration."""
    bootstrap_samples: NonNegativeInt = 1000
    """Resamples for the intervals of the report; 0 leaves the intervals out."""


@dataclass(frozen=True)
class CalibrationConfig:
    """Temperatures and thresholds, both fitted on dev."""

    method: Literal["temperature", "temperature_per_label", "none"] = "temperature"
    """One temperature for all labels, one per label (shrunk to the global one), or none."""
    temperature_shrinkage: NonNegativeFloat = 100.0
    """Per-label temperatures: a label with this many positive dev rows lies halfway to the global temperature."""
    threshold_shrinkage: NonNegativeFloat = 10.0
    """Policy f1: a label with this many positive dev rows lies halfway to the global threshold; 0 does not shrink."""
    precision_target: ClosedUnitInterval = 0.8
    """p of the policy precision@p: the lowest threshold of every label with at least this precision on dev."""
    recall_target: ClosedUnitInterval = 0.8
    """r of the policy recall@r: the highest threshold of every label with at least this recall on dev."""


@dataclass(frozen=True)
class DistillConfig:
    """Learning from other models beside the labels."""

    teachers: list[str] = field(default_factory=list)
    """Bundle folders of the teachers, with the same labels; the logits of several are averaged. None: no teacher."""
    weight: ClosedUnitInterval = 0.5
    """Share of the teachers in the loss; the labels have the rest."""
    temperature: PositiveFloat = 2.0
    """Divides the logits of teacher and student: above 1 small probabilities are heard more."""


@dataclass(frozen=True)
class Config:
    """The whole configuration of a training run."""

    run: RunConfig = field(default_factory=RunConfig)
    """Where a run writes and how it is repeated."""
    data: DataConfig = field(default_factory=DataConfig)
    """Where texts come from, how they are split and cut."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Further training texts for rare labels."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The encoder and the classification head."""
    tuning: TuningConfig = field(default_factory=TuningConfig)
    """Which weights are trained."""
    loss: LossConfig = field(default_factory=LossConfig)
    """What is minimised."""
    distill: DistillConfig = field(default_factory=DistillConfig)
    """Learning from other models beside the labels."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """How it is minimised."""
    eval: EvalConfig = field(default_factory=EvalConfig)
    """How progress and the result are measured."""
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    """Temperatures and thresholds."""
    preflight: PreflightConfig = field(default_factory=PreflightConfig)
    """Checks before anything expensive."""
    watch: WatchConfig = field(default_factory=WatchConfig)
    """Where figures go while a run trains, and what is looked at."""

    @property
    def run_dir(self) -> Path:
        """Folder of this run."""
        return Path(self.run.output_dir) / self.run.name

    def to_dict(self) -> dict[str, Any]:
        """Plain nested values, ready for YAML or JSON."""
        return asdict(self)

    def flat(self) -> dict[str, Any]:
        """Plain values by dotted key."""
        return flatten(self.to_dict())

    def write(self, path: Path) -> None:
        """Write the resolved configuration as YAML that `--config` reads."""
        with replacing_file(path) as temporary:
            temporary.write_text(yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True), encoding="utf-8")


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted key."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
