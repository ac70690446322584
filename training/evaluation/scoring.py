"""The metrics of one split: every policy, intervals, and what predicting the labels' frequencies would reach.

Shapes: N examples, L labels, S resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from shared.calibration import Calibration
from shared.metrics import (
    accuracy,
    ece,
    evaluate,
    macro_f1,
    micro_f1,
    probability_metrics,
    samples_f1,
    weighted_f1,
)
from shared.thresholds import Policies
from training.data.corpus import Corpus
from training.evaluation.measures import Bools, Floats, Predictions, names, number_or_none, ranking_per_row
from training.evaluation.resampling import LEVEL, resample


@dataclass(frozen=True)
class SplitPredictions:
    """A split with what the model says of it.

    Attributes:
        name: train, dev or test.
        truth: shape (N, L); soft targets count from 0.5 on.
        known: annotated entries, shape (N, L).
        logits: shape (N, L).
        targets: as they are in the corpus, shape (N, L): shares of the scale, where the rows have intensities.
    """

    name: str
    truth: Bools
    known: Bools
    logits: NDArray[np.float32]
    targets: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, name: str, corpus: Corpus, logits: NDArray[np.float32]) -> SplitPredictions:
        """A corpus beside its logits."""
        return cls(name, corpus.hard_targets, corpus.known, logits, corpus.targets)


def score(
    split: SplitPredictions,
    calibration: Calibration,
    policies: Policies,
    *,
    prior: Floats | None = None,
    prior_name: str = "train_prior",
    samples: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """All metrics of a split, ready for JSON: those of the default policy, and a short row for each of the others.

    Args:
        split: labels and logits.
        calibration: from logits to probabilities.
        policies: thresholds.
        prior: frequency of every label in training, shape (L,): predicting it is the baseline.
        prior_name: what the baseline is called.
        samples: bootstrap resamples; 0 leaves the intervals out.
        seed: of the resampling.
    """
    probabilities = calibration.apply(split.logits)
    decisions = policies.decide(probabilities)
    single_label = calibration.activation == "softmax"
    result: dict[str, Any] = {
        "policy": policies.default,
        **measure(
            Predictions(split.truth, split.known, probabilities, decisions), policies.labels, single_label=single_label
        ),
        "policies": {
            name: _short_row(split, policies.decide(probabilities, name), single_label) for name in policies.values
        },
    }
    uncalibrated = Calibration.identity(len(policies.labels), calibration.activation).apply(split.logits)
    result["baselines"] = {"uncalibrated": probability_metrics(split.truth, uncalibrated, split.known)}
    if prior is not None:
        constant = np.broadcast_to(prior, split.truth.shape)
        result["baselines"][prior_name] = probability_metrics(split.truth, constant, split.known)
    if samples:
        rows = Predictions(split.truth, split.known, probabilities, decisions)
        result["intervals"] = intervals(rows, result, policies.labels, samples=samples, seed=seed)
    return result


def measure(rows: Predictions, labels: Sequence[str], *, single_label: bool = False) -> dict[str, Any]:
    """Every metric of some rows, ready for JSON (None where there is nothing to measure).

    Args:
        rows: the predictions.
        labels: names of the L columns.
        single_label: whether an example has exactly one label.
    """
    result = evaluate(
        rows.truth, rows.probabilities, rows.decisions, labels, rows.known, single_label=single_label
    )  # fmt: skip
    precision, coverage = ranking_per_row(rows)
    answered = rows.known.any(axis=1)
    exact = ((rows.truth == rows.decisions) | ~rows.known).all(axis=1)
    auc = roc_auc(rows)
    for place, name in enumerate(labels):
        known = rows.known[:, place]
        y, p = rows.truth[known, place].astype(np.float64), rows.probabilities[known, place]
        result["per_label"][name] |= {
            "roc_auc": number_or_none(auc[place]),
            "brier": float(np.mean((p - y) ** 2)) if len(y) else None,
            "ece": ece(y, p) if len(y) else None,
        }
    return result | {
        "weighted_f1": weighted_f1(rows.truth, rows.decisions, rows.known),
        "subset_accuracy": number_or_none(_mean(exact[answered])),
        "macro_roc_auc": number_or_none(_mean(auc[~np.isnan(auc)])),
        "lrap": number_or_none(_mean(precision[answered])),
        "coverage_error": number_or_none(_mean(coverage[answered])),
    }


def roc_auc(rows: Predictions) -> Floats:
    """Area under the ROC curve of every label, shape (L,); NaN where all known rows have it, or none."""
    found = np.full(rows.truth.shape[1], np.nan)
    for place in range(len(found)):
        known = rows.known[:, place]
        y = rows.truth[known, place]
        if y.any() and not y.all():
            found[place] = roc_auc_score(y, rows.probabilities[known, place])
    return found


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _short_row(split: SplitPredictions, decisions: Bools, single_label: bool) -> dict[str, float]:
    measures = {"macro_f1": macro_f1, "micro_f1": micro_f1, "samples_f1": samples_f1}
    if single_label:
        measures |= {"accuracy": accuracy, "weighted_f1": weighted_f1}
    return {name: measure(split.truth, decisions, split.known) for name, measure in measures.items()}


def intervals(
    rows: Predictions, metrics: Mapping[str, Any], labels: Sequence[str], *, samples: int, seed: int
) -> dict[str, Any]:
    """Bootstrap intervals of all metrics, all from the same resamples; see `resampling`.

    Args:
        rows: the predictions.
        metrics: of these rows, by `measure`.
        labels: names of the L columns.
        samples: S.
        seed: of the resampling.
    """
    (errors,) = resample([rows], samples=samples, seed=seed)
    found: dict[str, Any] = {"level": LEVEL}
    for name in names(errors.values):
        if metrics[name] is not None:
            found[name] = [float(end) for end in errors.interval(name, metrics[name])]
    for measured, title in {"f1": "per_label", "ap": "per_label_ap", "roc_auc": "per_label_roc_auc"}.items():
        values = [metrics["per_label"][name][measured] for name in labels]
        low, high = errors.interval(f"label_{measured}", np.array(values, dtype=np.float64))
        found[title] = {
            name: [float(low[place]), float(high[place])]
            for place, name in enumerate(labels)
            if values[place] is not None
        }
    return found
