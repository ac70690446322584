"""Sections of what is minimised and how: loss, distillation, optimiser."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from training.config.types import (
    NonNegativeFloat,
    OpenShare,
    PositiveFloat,
    PositiveInt,
    Share,
    ShareAboveZero,
    ShareBelowOne,
)


@dataclass(frozen=True)
class LossConfig:
    """What is minimised."""

    name: Literal[
        "bce", "weighted_bce", "focal", "asymmetric", "combined", "cross_entropy", "mse", "cumulative_link", "coral"
    ] = "bce"
    """"bce": binary cross-entropy of every known label; "combined": asymmetric, focal and a share of bce;
    "cross_entropy": softmax, for tasks where a text has exactly one label. With data.task intensity: "bce" or "mse" of
    the share of the scale, or for ordinal scales "cumulative_link" (proportional odds) or "coral"."""
    smoothing: ShareBelowOne = 0.0
    """Label smoothing e: targets 0 and 1 become e/2 and 1 - e/2 (cross_entropy: e is spread over the known labels)."""
    weighting: Literal["inverse_frequency", "balanced"] = "inverse_frequency"
    """weighted_bce: positives of a label weigh rows / positives; "balanced": scikit-learn's rows / (2 count), for
    positives and negatives."""
    weight_cap: PositiveFloat = 10.0
    """weighted_bce: largest weight."""
    gamma: NonNegativeFloat = 2.0
    """focal, combined: focusing exponent; 0 is bce."""
    alpha: Share | None = None
    """focal, combined: weight of positives, 1 - alpha that of negatives (the paper's 0.25); both 1 when left out."""
    gamma_negative: NonNegativeFloat = 4.0
    """asymmetric, combined: focusing exponent of negatives."""
    gamma_positive: NonNegativeFloat = 1.0
    """asymmetric, combined: focusing exponent of positives."""
    margin: ShareBelowOne = 0.05
    """asymmetric, combined: negatives with a probability up to this count nothing."""
    detach_focus: bool = False
    """asymmetric, combined: take the focusing weight as a constant in the backward pass."""
    ratio: Share = 0.7
    """combined: share of asymmetric; focal has the rest (0.7, 0.5 and 0.3 are usual)."""
    bce_share: NonNegativeFloat = 0.2
    """combined: bce is added with this weight."""

    @property
    def ordinal(self) -> bool:
        """Whether the head is a cumulative link, with cuts between the levels of a scale."""
        return self.name in ("cumulative_link", "coral")

    @property
    def task(self) -> Literal["multi_label", "single_label"]:
        """What a text has of labels; see `Config.task` for intensities."""
        return "single_label" if self.single_label else "multi_label"

    @property
    def single_label(self) -> bool:
        """Whether a text has exactly one label."""
        return self.name == "cross_entropy"

    @property
    def activation(self) -> Literal["sigmoid", "softmax"]:
        """What turns logits into probabilities."""
        return "softmax" if self.single_label else "sigmoid"


@dataclass(frozen=True)
class DistillConfig:
    """Learning from other models beside the labels."""

    teachers: list[str] = field(default_factory=list)
    """Bundle folders of the teachers, with the same labels; the logits of several are averaged. None: no teacher."""
    weight: Share = 0.5
    """Share of the teachers in the loss; the labels have the rest."""
    temperature: PositiveFloat = 2.0
    """Divides the logits of teacher and student: above 1 small probabilities count more."""
    precision: Literal["auto", "fp32"] = "auto"
    """In which the teachers' logits are computed: "auto" half precision where the device trains in it, else fp32."""


@dataclass(frozen=True)
class OptimConfig:
    """How it is minimised."""

    epochs: PositiveFloat = 6.0
    """Passes over the training rows."""
    max_steps: PositiveInt | None = None
    """Stop after this many optimiser steps, whatever `epochs` says."""
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop", "adafactor"] = "adamw"
    """Each needs its own `lr`: sgd about 100 times that of adamw; that of adafactor is a share of a weight's size."""
    lr: PositiveFloat = 2e-4
    """Highest learning rate of the encoder (of its top layer, when rates differ by layer)."""
    head_lr: PositiveFloat | None = 5e-3
    """Highest learning rate of the head; `lr` when null."""
    layer_decay: ShareAboveZero = 1.0
    """Each layer's learning rate is that of the layer above times this; 0.8 to 0.95 are usual, 1 = no difference."""
    weight_decay: NonNegativeFloat = 0.01
    """Weight decay of all weights but biases and normalisation; adam, sgd and rmsprop add it to the gradient."""
    l1: NonNegativeFloat = 0.0
    """Added to the loss: this times the sum of |w| over all trained matrices."""
    l2: NonNegativeFloat = 0.0
    """Added to the loss: this times the sum of w^2 over all trained matrices."""
    beta1: ShareBelowOne = 0.9
    """adamw, adam: decay of the mean of gradients."""
    beta2: ShareBelowOne = 0.999
    """adamw, adam, rmsprop: decay of the mean of squared gradients."""
    epsilon: PositiveFloat = 1e-8
    """adamw, adam, rmsprop: added to the denominator."""
    momentum: ShareBelowOne = 0.9
    """sgd, rmsprop: share of the last step that is kept."""
    schedule: Literal["linear", "cosine", "constant", "plateau"] = "linear"
    """After the warm-up the learning rate decays to 0 (linear, cosine), stays, or falls when macro F1 on dev stalls."""
    plateau_factor: OpenShare = 0.5
    """Plateau: factor of each reduction."""
    plateau_patience: PositiveInt = 1
    """Plateau: evaluations in a row without a better macro F1 before a reduction; less than eval.patience."""
    warmup_ratio: Share = 0.1
    """Share of all steps in which the learning rate rises from 0."""
    clip_norm: NonNegativeFloat = 1.0
    """Largest norm of the gradient of all weights; 0 does not clip."""
    batch_size: PositiveInt = 32
    """Rows in one forward pass of one process; times `accumulation` times processes = rows of one optimiser step."""
    ema_decay: ShareBelowOne | None = None
    """Evaluate and keep the exponential moving average of the weights: this decay per optimiser step (0.999 averages
    over about 1,000 steps, fewer at the start); no average when null."""
    accumulation: PositiveInt = 1
    """Forward passes whose gradients are summed for one optimiser step."""
    fit_memory: bool = True
    """When memory runs out, go on with half the batch_size and twice the accumulation (one process, even batches)."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    compile: Literal["none", "layers", "graphs"] = "none"
    """For GPUs that wait for launches, with lengths in steps of 16 and the same numbers within rounding: "layers" go
    through torch.compile (which needs g++ or gcc), "graphs" also records each shape's pass as a CUDA graph. The first
    steps of each length take longer; speed not measured."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Autocast: "auto" = fp16 with gradient scaling on CUDA, bf16 on a CPU that computes in it, else fp32."""
