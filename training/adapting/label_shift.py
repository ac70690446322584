"""How frequent the labels are in texts without labels: by EM, checked by the black-box estimator; or as a user says.

Shapes: M texts, N reference rows, L labels. Scores are the parent's calibrated logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from shared.calibration import sigmoid

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PSEUDO_TEXTS = 10.0
"""Texts by which the parent's frequencies count beside those that are seen, so that few texts move little."""

LEAST_SEPARATION = 0.2
"""True minus false positive rate below which the black-box estimator divides by noise."""

STANDARD_ERRORS = 3.0
"""Two estimates further apart than this many of their standard errors, and `LEAST_DISAGREEMENT`, disagree."""

LEAST_DISAGREEMENT = 0.03
MAX_STEPS = 2000


@dataclass(frozen=True)
class ReferenceRows:
    """What the parent says of its own evaluation rows: scores, truth and annotated cells, each of shape (N, L)."""

    scores: Floats
    truth: Bools
    known: Bools

    @property
    def priors(self) -> Floats:
        """Mean probability of every label: the frequencies that the parent's probabilities take for granted."""
        counted = np.maximum(1, self.known.sum(axis=0))
        return np.asarray(np.clip((sigmoid(self.scores) * self.known).sum(axis=0) / counted, 1e-5, 1 - 1e-5))


@dataclass(frozen=True)
class LabelShift:
    """Frequencies of the labels in some texts, each of shape (L,).

    Attributes:
        priors: the estimate that was chosen.
        by_em: of EM.
        by_confusion: of the black-box estimator; NaN where it cannot tell.
        doubtful: labels whose two estimates disagree: there the texts differ in more than frequencies.
        shifts: to be added to the parent's scores.
    """

    priors: Floats
    by_em: Floats
    by_confusion: Floats
    doubtful: Bools
    shifts: Floats


def estimate_label_shift(scores: Floats, reference: ReferenceRows, thresholds: Floats) -> LabelShift:
    """Frequencies of the labels in M unlabelled texts.

    The rule: EM, which errs least where the parent is calibrated (Alexandari et al. 2020). Where the black-box
    estimator disagrees, the texts differ in more than frequencies, and the estimate nearer to the parent's is taken.

    Args:
        scores: of the texts, shape (M, L).
        reference: the parent's evaluation rows.
        thresholds: the probabilities at which the parent decides, shape (L,).
    """
    priors, least = reference.priors, 0.5 / (len(scores) + 1)
    lowest, highest = np.minimum(priors, least), np.maximum(priors, 1 - least)  # few texts say nothing of rarer labels
    by_em = em_priors(scores, priors)
    by_confusion, error = confusion_priors(scores, reference, thresholds)
    other = np.where(np.isfinite(by_confusion), by_confusion, by_em)
    doubtful = np.abs(by_em - other) > np.maximum(STANDARD_ERRORS * error, LEAST_DISAGREEMENT)
    by_either = [_log_odds(np.clip(found, lowest, highest)) - _log_odds(priors) for found in (by_em, other)]
    nearer = np.where(np.abs(by_either[0]) <= np.abs(by_either[1]), *by_either)
    shifts = np.where(doubtful, nearer, by_either[0])
    return LabelShift(sigmoid(_log_odds(priors) + shifts), by_em, by_confusion, doubtful, shifts)


def em_priors(scores: Floats, priors: Floats, tolerance: float = 1e-7) -> Floats:
    """EM of Saerens, Latinne and Decaestecker (2002) for every label: the mean posterior under the priors it implies.

    https://doi.org/10.1162/089976602753284446
    """
    odds, found = _log_odds(priors), priors
    for _ in range(MAX_STEPS):
        posterior = sigmoid(scores + (_log_odds(found) - odds))
        new = (posterior.sum(axis=0) + PSEUDO_TEXTS * priors) / (len(scores) + PSEUDO_TEXTS)
        if np.abs(new - found).max() < tolerance:
            return np.asarray(new)
        found = new
    return np.asarray(found)


def confusion_priors(scores: Floats, reference: ReferenceRows, thresholds: Floats) -> tuple[Floats, Floats]:
    """Black-box shift estimation (Lipton, Wang and Smola 2018) for every label, and its standard error.

    The share of texts decided q = TPR f + FPR (1 - f), solved for the frequency f; NaN where the two rates lie closer
    than `LEAST_SEPARATION`. https://arxiv.org/abs/1802.03916
    """
    decided = sigmoid(reference.scores) >= thresholds
    positives = (reference.truth & reference.known).sum(axis=0)
    negatives = (~reference.truth & reference.known).sum(axis=0)
    tpr = ((decided & reference.truth & reference.known).sum(axis=0) + 0.5) / (positives + 1)
    fpr = ((decided & ~reference.truth & reference.known).sum(axis=0) + 0.5) / (negatives + 1)
    share = (sigmoid(scores) >= thresholds).mean(axis=0)
    apart = tpr - fpr
    can_tell = apart >= LEAST_SEPARATION
    width = np.where(can_tell, apart, 1.0)
    found = np.clip((share - fpr) / width, 0.0, 1.0)
    variance = (share * (1 - share) + 0.25 / len(scores)) / len(scores)
    variance = variance + found**2 * tpr * (1 - tpr) / (positives + 1)
    variance = variance + (1 - found) ** 2 * fpr * (1 - fpr) / (negatives + 1)
    return np.where(can_tell, found, np.nan), np.sqrt(variance) / width


def shifts_to_frequencies(scores: Floats, frequencies: Floats) -> Floats:
    """What must be added to the scores of some texts for every label's mean probability to be its frequency, (L,).

    A label whose frequency is NaN gets 0.
    """
    shifts = np.zeros(len(frequencies))
    for label in np.flatnonzero(np.isfinite(frequencies)):
        column, wanted = scores[:, label], frequencies[label]
        shifts[label] = brentq(lambda shift, z=column, f=wanted: float(sigmoid(z + shift).mean() - f), -60.0, 60.0)
    return shifts


def importance(reference: ReferenceRows, shifts: Floats) -> Floats:
    """How often a reference row, by its probabilities, occurs where the scores are shifted by so much, shape (N, L)."""
    priors = reference.priors
    wanted = sigmoid(_log_odds(priors) + shifts)
    p = sigmoid(reference.scores)
    return np.asarray(p * wanted / priors + (1 - p) * (1 - wanted) / (1 - priors))


def names(labels: Sequence[str], chosen: Bools) -> list[str]:
    """Names of the chosen labels."""
    return [name for name, marked in zip(labels, chosen, strict=True) if marked]


def _log_odds(probability: Floats) -> Floats:
    return np.asarray(np.log(probability) - np.log1p(-probability))
