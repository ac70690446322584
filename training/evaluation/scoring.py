"""The metrics of one split: every policy, intervals, and what predicting the labels' frequencies would reach.

Shapes: N examples, L labels, S resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.calibration import Calibration
from shared.metrics import (
    accuracy,
    annotated,
    evaluate,
    macro_f1,
    micro_f1,
    probability_metrics,
    samples_f1,
    weighted_f1,
)
from shared.thresholds import Policies
from training.data.corpus import Corpus

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LEVEL = 0.95


@dataclass(frozen=True)
class SplitPredictions:
    """A split with what the model says of it.

    Attributes:
        name: train, dev or test.
        truth: shape (N, L); soft targets count from 0.5 on.
        known: annotated entries, shape (N, L).
        logits: shape (N, L).
    """

    name: str
    truth: Bools
    known: Bools
    logits: NDArray[np.float32]

    @classmethod
    def of(cls, name: str, corpus: Corpus, logits: NDArray[np.float32]) -> SplitPredictions:
        """A corpus beside its logits."""
        return cls(name, corpus.hard_targets, corpus.known, logits)


def score(
    split: SplitPredictions,
    calibration: Calibration,
    policies: Policies,
    *,
    prior: Floats | None = None,
    samples: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """All metrics of a split, ready for JSON: those of the default policy, and a short row for each of the others.

    Args:
        split: labels and logits.
        calibration: from logits to probabilities.
        policies: thresholds.
        prior: frequency of every label in training, shape (L,): predicting it is the baseline.
        samples: bootstrap resamples; 0 leaves the intervals out.
        seed: of the resampling.
    """
    probabilities = calibration.apply(split.logits)
    decisions = policies.decide(probabilities)
    single_label = calibration.activation == "softmax"
    result: dict[str, Any] = {
        "policy": policies.default,
        **evaluate(split.truth, probabilities, decisions, policies.labels, split.known, single_label=single_label),
        "policies": {
            name: _short_row(split, policies.decide(probabilities, name), single_label) for name in policies.values
        },
    }
    uncalibrated = Calibration.identity(len(policies.labels), calibration.activation).apply(split.logits)
    result["baselines"] = {"uncalibrated": probability_metrics(split.truth, uncalibrated, split.known)}
    if prior is not None:
        constant = np.broadcast_to(prior, split.truth.shape)
        result["baselines"]["train_prior"] = probability_metrics(split.truth, constant, split.known)
    if samples:
        result["intervals"] = f1_intervals(split, decisions, policies.labels, samples=samples, seed=seed)
    return result


def _short_row(split: SplitPredictions, decisions: Bools, single_label: bool) -> dict[str, float]:
    measures = {"macro_f1": macro_f1, "micro_f1": micro_f1, "samples_f1": samples_f1}
    if single_label:
        measures |= {"accuracy": accuracy, "weighted_f1": weighted_f1}
    return {name: measure(split.truth, decisions, split.known) for name, measure in measures.items()}


def f1_intervals(
    split: SplitPredictions, decisions: Bools, labels: Sequence[str], *, samples: int, seed: int
) -> dict[str, Any]:
    """Percentile bootstrap intervals (Efron 1979) of macro, micro and per-label F1, all from the same resamples.

    A resample is how often each row is drawn, so the counts of all labels are one matrix product.

    Args:
        split: labels.
        decisions: shape (N, L).
        labels: names of the L columns.
        samples: S.
        seed: of the resampling.
    """
    num_rows = len(split.truth)
    draws = np.random.default_rng(seed).multinomial(num_rows, np.full(num_rows, 1 / num_rows), size=samples)
    drawn = draws.astype(np.float32)  # counts stay exact up to 2^24
    hit = (split.truth & decisions & split.known).astype(np.float32)
    total = ((split.truth & split.known).astype(np.float32)) + ((decisions & split.known).astype(np.float32))
    tp, found = (drawn @ hit).astype(np.float64), (drawn @ total).astype(np.float64)
    f1 = np.divide(2 * tp, found, out=np.zeros_like(tp), where=found > 0)
    scored = annotated(split.truth, split.known)
    micro = 2 * tp.sum(axis=1) / np.maximum(found.sum(axis=1), 1.0)
    return {
        "level": LEVEL,
        "macro_f1": _interval(f1[:, scored].mean(axis=1)),
        "micro_f1": _interval(micro),
        "per_label": {name: _interval(f1[:, column]) for column, name in enumerate(labels) if scored[column]},
    }


def _interval(values: Floats) -> list[float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)]
