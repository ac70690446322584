"""From what is known of some texts to the calibration and the policies that fit them, and an honest estimate of both.

Shapes: N labelled rows, M unlabelled texts, L labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from shared.calibration import Calibration, sigmoid
from shared.errors import ConfigError
from shared.metrics import evaluate, f1_per_label
from shared.thresholds import Policies
from training.adapting.label_shift import (
    LabelShift,
    ReferenceRows,
    estimate_label_shift,
    importance,
    names,
    shifts_to_frequencies,
)
from training.adapting.recalibration import Recalibration, fit_recalibration, folds
from training.adapting.thresholds import SoftRows, refit_policies

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

OUTER_FOLDS = 5
FEWEST_ROWS = 10
"""Fewer labelled rows say nothing that a fold could confirm."""

RESAMPLES = 1000


@dataclass(frozen=True)
class Evidence:
    """What is known of the texts to adapt to; logits are those of the precision that is served.

    Attributes:
        logits: of the labelled rows, shape (N, L); N may be 0.
        truth: shape (N, L).
        known: annotated cells, shape (N, L).
        unlabelled: logits of texts without labels, shape (M, L).
        frequencies: share of the texts that carry each label, shape (L,), NaN where nobody said.
        pooled: what the last layer reads of the labelled rows, shape (N, D); D is 0 where nobody asked for it.
    """

    logits: Floats
    truth: Bools
    known: Bools
    unlabelled: Floats
    frequencies: Floats
    pooled: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def take(self, rows: NDArray[np.int64]) -> Evidence:
        """Some of the labelled rows, with everything else."""
        pooled = self.pooled[rows] if len(self.pooled) else self.pooled
        return replace(
            self, logits=self.logits[rows], truth=self.truth[rows], known=self.known[rows], pooled=pooled
        )  # fmt: skip


@dataclass(frozen=True)
class Parent:
    """The bundle's own decisions, and its logits on its reference rows."""

    calibration: Calibration
    policies: Policies
    reference_logits: Floats
    reference_truth: Bools
    reference_known: Bools

    def decisions(self, logits: Floats) -> Bools:
        """Under the default policy, shape (N, L)."""
        return self.policies.decide(self.calibration.apply(logits))


@dataclass(frozen=True)
class LayerChange:
    """What is added to the parent's last layer: weight, shape (D, L), and bias, shape (L,)."""

    weight: Floats
    bias: Floats

    def logits(self, logits: Floats, pooled: NDArray[np.float32]) -> Floats:
        """New logits, shape (N, L), of the parent's and what its last layer read."""
        return np.asarray(logits + pooled.astype(np.float64) @ self.weight + self.bias)


@dataclass(frozen=True)
class Adapted:
    """New decisions.

    Attributes:
        calibration: of the child.
        policies: of the child.
        kept: whether the labelled rows gave no reason to leave what the parent, or the frequencies, say.
        shift: the frequencies that texts without labels have, if there were such.
        notes: what a user should know, each a sentence.
        layer: what changes of the last layer, if anything does.
    """

    calibration: Calibration
    policies: Policies
    kept: bool
    shift: LabelShift | None = None
    notes: tuple[str, ...] = ()
    layer: LayerChange | None = None

    def decisions(self, logits: Floats) -> Bools:
        """Under the default policy, shape (N, L), of this network's logits."""
        return self.policies.decide(self.calibration.apply(logits))

    def logits(self, evidence: Evidence) -> Floats:
        """Of the labelled rows by this network, shape (N, L)."""
        return evidence.logits if self.layer is None else self.layer.logits(evidence.logits, evidence.pooled)


@dataclass(frozen=True)
class Estimate:
    """Nested cross-validation: every row was decided by decisions fitted without it.

    Attributes:
        adapted: metrics of the adapted decisions.
        parent: metrics of the parent on the same rows.
        macro_f1: over the labels with a positive row: value and 95 % interval of `adapted`, `parent` and `difference`.
    """

    adapted: Mapping[str, Any]
    parent: Mapping[str, Any]
    macro_f1: Mapping[str, tuple[float, float, float]]


Fit = Callable[[Parent, Evidence, int], Adapted]


def adapt(parent: Parent, evidence: Evidence, seed: int = 0) -> Adapted:
    """Fit calibration and policies to what is known.

    First the frequencies, said or estimated from unlabelled texts, move the label priors; then the labelled rows
    recalibrate what came of it; then every policy is fitted again on expected counts, in which the texts count too.
    What is estimated from texts is left out where the labelled rows, each predicted without itself, speak against it.

    Raises:
        ConfigError: for a bundle with one label a text, whose probabilities are not each label's own; or for evidence
            that says nothing.
    """
    check_evidence(parent, evidence, fewest=1)  # a fold of few rows keeps the parent
    calibration, labels = parent.calibration, parent.policies.labels
    reference = ReferenceRows(
        calibration.scores(parent.reference_logits), parent.reference_truth, parent.reference_known
    )
    rows, texts = calibration.scores(evidence.logits), calibration.scores(evidence.unlabelled)
    shift, notes = None, []
    starts = [np.zeros(len(labels))]
    if len(texts):
        shift = estimate_label_shift(texts, reference, parent.policies.get())
        starts = [shift.shifts, *starts] if len(rows) else [shift.shifts]
        if shift.doubtful.any():
            notes.append(
                "the texts differ from the parent's in more than the frequencies of labels: two estimates disagree for "
                f"{', '.join(names(labels, shift.doubtful))}; label some rows."
            )
    said = np.isfinite(evidence.frequencies)
    if said.any():
        seen = np.concatenate([rows, texts])
        fitted = shifts_to_frequencies(seen, evidence.frequencies) if len(seen) else _prior_shift(reference, evidence)
        starts = [np.where(said, fitted, start) for start in starts]
    fits = [fit_recalibration(rows + start, evidence.truth, evidence.known, seed) for start in starts]
    place = int(np.argmin([each.nll for each in fits]))
    found, moved = fits[place], starts[place]
    kept = found.spread is None
    if kept and not moved.any():
        return Adapted(calibration, parent.policies, True, shift, tuple(notes))
    return _child(
        parent, evidence, found, moved, reference, Adapted(calibration, parent.policies, kept, shift, tuple(notes))
    )


def _prior_shift(reference: ReferenceRows, evidence: Evidence) -> Floats:
    wanted, priors = np.nan_to_num(evidence.frequencies, nan=0.5), reference.priors
    return np.asarray(np.log(wanted / (1 - wanted)) - np.log(priors / (1 - priors)))


def _child(  # noqa: PLR0917  (the steps of `adapt`)
    parent: Parent, evidence: Evidence, found: Recalibration, moved: Floats, reference: ReferenceRows, frame: Adapted
) -> Adapted:
    """The parent's calibration with the shifts and the recalibration laid into it, and policies fitted after it."""
    before = parent.calibration
    fitted_on = _described(evidence)
    temperatures = before.temperatures / found.slopes
    biases = found.slopes * (before.biases + moved) + found.shifts
    calibration = Calibration("bias_corrected_temperature", temperatures, fitted_on=fitted_on, biases=biases)
    rows = SoftRows(
        calibration.apply(evidence.logits), evidence.truth, evidence.known, np.ones(evidence.truth.shape)
    ) + SoftRows.unlabelled(calibration.apply(evidence.unlabelled))  # fmt: skip
    if not len(rows.probabilities):
        rows = SoftRows.unlabelled(sigmoid(reference.scores + moved), importance(reference, moved))
    changed = evidence.known.any(axis=0) | (moved != 0)
    policies = refit_policies(parent.policies, rows, changed, fitted_on)
    return replace(frame, calibration=calibration, policies=policies)


def _described(evidence: Evidence) -> str:
    parts = [
        f"{len(evidence.logits)} labelled rows" if len(evidence.logits) else "",
        f"{len(evidence.unlabelled)} unlabelled texts" if len(evidence.unlabelled) else "",
        "known frequencies" if np.isfinite(evidence.frequencies).any() else "",
    ]
    return "adapted to " + " and ".join(filter(None, parts))


def check_evidence(parent: Parent, evidence: Evidence, *, fewest: int = FEWEST_ROWS) -> None:
    """Refuse what nothing can be learned from, as fewer labelled rows than `fewest`.

    Raises:
        ConfigError: says what is missing.
    """
    if parent.calibration.activation == "softmax":
        raise ConfigError(
            "this bundle gives one label a text by the highest probability: it has no thresholds to fit, and a shift "
            "of one label moves all others, which adapting does not do.",
            hint="Train it on your rows: python -m training.run --loss.name cross_entropy --model.name BUNDLE",
        )
    if 0 < len(evidence.logits) < fewest:
        raise ConfigError(
            f"{len(evidence.logits)} labelled rows are too few to adapt to; allowed: {fewest} or more.",
            hint="Label more rows, or give them as texts without labels.",
        )
    if not (len(evidence.logits) or len(evidence.unlabelled) or np.isfinite(evidence.frequencies).any()):
        raise ConfigError("there is nothing to adapt to.", hint="Give labelled rows, texts, or frequencies.")


def estimate(parent: Parent, evidence: Evidence, seed: int = 0, *, fit: Fit | None = None) -> Estimate:
    """What adapting brings on texts like the labelled rows, by nested cross-validation: all of it is done again inside.

    The intervals are of the bootstrap over rows (Efron 1979), the same resamples for both, widened for the mean number
    of positive rows a label, which is what an F1 rests on.

    Args:
        parent: the bundle's own decisions.
        evidence: with labelled rows.
        seed: of the folds and the resamples.
        fit: what is done in each fold; `adapt` when None.
    """
    count = len(evidence.logits)
    probabilities, decisions = np.empty(evidence.truth.shape), np.empty(evidence.truth.shape, dtype=bool)
    for inside, outside in folds(count, OUTER_FOLDS, seed + 1):
        fitted, left_out = (fit or adapt)(parent, evidence.take(inside), seed), evidence.take(outside)
        probabilities[outside] = fitted.calibration.apply(fitted.logits(left_out))
        decisions[outside] = fitted.decisions(fitted.logits(left_out))
    return judge(parent, evidence, probabilities, decisions, seed)


def judge(parent: Parent, evidence: Evidence, probabilities: Floats, decisions: Bools, seed: int = 0) -> Estimate:
    """Metrics of what was said of every labelled row without it, (N, L), beside the parent; intervals by bootstrap."""
    truth, known, labels = evidence.truth, evidence.known, parent.policies.labels
    before = parent.decisions(evidence.logits)
    return Estimate(
        evaluate(truth, probabilities, decisions, labels, known),
        evaluate(truth, parent.calibration.apply(evidence.logits), before, labels, known),
        _with_intervals(truth, known, decisions, before, seed),
    )


def present_macro_f1(truth: Bools, decisions: Bools, known: Bools) -> float:
    """Mean F1 of the labels with a positive row."""
    present = (truth & known).any(axis=0)
    return float(f1_per_label(truth, decisions, known)[present].mean()) if present.any() else 0.0


def _with_intervals(
    truth: Bools, known: Bools, adapted: Bools, parent: Bools, seed: int
) -> dict[str, tuple[float, float, float]]:
    first, second = (
        _resampled_macro_f1(truth, known, found, _resamples(len(truth), seed)) for found in (adapted, parent)
    )
    found = {"adapted": first, "parent": second, "difference": first - second}
    positives = (truth & known).sum(axis=0)
    tail = _tail(float(positives[positives > 0].mean()) if positives.any() else 0.0)
    intervals = {}
    for name, values in found.items():
        low, high = np.quantile(values[1:], [tail, 1 - tail])
        intervals[name] = float(values[0]), float(low), float(high)
    return intervals


def _tail(size: float) -> float:
    """The quantile at which a percentile interval of `size` values ends: below 0.025, as the bootstrap is too narrow.

    The expanded percentile interval of Hesterberg (2015); https://doi.org/10.1080/00031305.2015.1089789
    """
    size = max(2.0, size)
    return float(ndtr(np.sqrt(size / (size - 1)) * stdtrit(size - 1, 0.025)))


def _resamples(count: int, seed: int) -> Iterator[Floats]:
    """How often each of `count` rows counts: once, then as it was drawn, one array after the other."""
    generator = np.random.default_rng(seed)
    yield np.ones(count)
    for _ in range(RESAMPLES):
        yield np.bincount(generator.integers(0, count, count), minlength=count).astype(float)


def _resampled_macro_f1(truth: Bools, known: Bools, decisions: Bools, times: Iterable[Floats]) -> Floats:
    """`present_macro_f1` of rows that count so many times each; one value an entry of `times`."""
    positive, decided = truth & known, decisions & known
    counted = np.hstack([positive, decided, positive & decided]).astype(np.float64)
    found = []
    for weights in times:
        support, chosen, right = (weights @ counted).reshape(3, -1)
        present = support > 0
        found.append((2 * right / np.maximum(1, support + chosen))[present].mean() if present.any() else 0.0)
    return np.array(found)
