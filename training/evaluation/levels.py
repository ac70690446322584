"""Metrics of coarser groups of labels, as the service answers them: a group is decided where any of its labels is.

Shapes: N rows, L labels, G groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.bundle import Bundle
from shared.labels import LabelSet, Taxonomy, group_decisions, taxonomies_for
from shared.metrics import macro_f1, micro_f1, samples_f1
from training.evaluation.measures import Bools, Floats, Predictions
from training.evaluation.scoring import intervals, measure


def group_rows(rows: Predictions, thresholds: Floats, labels: LabelSet, taxonomy: Taxonomy) -> Predictions:
    """The rows at the level of groups.

    A group is known where all its labels are, and true where it is known and any of them is: with one true label among
    unknown ones it would enter only where it is true, and precision would be 1 by construction. Its probability is that
    of the label that speaks for it (`shared.labels.group_decisions`), which is what the service gives.

    Args:
        rows: at the level of labels.
        thresholds: of the labels, shape (L,).
        labels: names of the L columns.
        taxonomy: the G groups.
    """
    places = [[labels.index(name) for name in members] for members in taxonomy.groups.values()]
    truth = np.stack([rows.truth[:, place].any(axis=1) for place in places], axis=1)
    known = np.stack([rows.known[:, place].all(axis=1) for place in places], axis=1)
    answers = group_answers(rows.probabilities, rows.decisions, thresholds, labels, taxonomy)
    return Predictions(truth & known, known, *answers)


def group_answers(
    probabilities: Floats, decisions: Bools, thresholds: Floats, labels: LabelSet, taxonomy: Taxonomy
) -> tuple[Floats, Bools]:
    """Probabilities and decisions of groups, both of shape (N, G)."""
    spoken, _ = group_decisions(probabilities, thresholds, labels, taxonomy)
    places = [[labels.index(name) for name in members] for members in taxonomy.groups.values()]
    return spoken, np.stack([decisions[:, place].any(axis=1) for place in places], axis=1)


def levels_of(
    rows: Predictions, thresholds: Floats, labels: Sequence[str], *, samples: int, seed: int = 0
) -> dict[str, Any]:
    """Taxonomy -> metrics of its groups, beside the labels themselves.

    Left out is a taxonomy of which no row knows a group; empty where the labels have none.

    Args:
        rows: at the level of labels.
        thresholds: of the labels, shape (L,).
        labels: names of the L columns.
        samples: bootstrap resamples; 0 leaves the intervals out.
        seed: of the resampling.
    """
    found, label_set = {}, LabelSet(tuple(labels))
    for name, taxonomy in list(taxonomies_for(label_set).items())[1:]:
        grouped = group_rows(rows, thresholds, label_set, taxonomy)
        if not grouped.known.any():
            continue
        groups = tuple(taxonomy.groups)
        metrics = measure(grouped, groups)
        if samples:
            metrics["intervals"] = intervals(grouped, metrics, groups, samples=samples, seed=seed)
        found[name] = metrics
    return found


def score_groups(
    truth: Bools,
    known: Bools,
    probabilities: Floats,
    bundle: Bundle,
    taxonomy: Taxonomy,
    *,
    samples: int,
    seed: int = 0,
) -> tuple[dict[str, Any], Predictions]:
    """Metrics of rows that are annotated with groups, in the form of `scoring.score`, and the rows.

    Args:
        truth: shape (N, G).
        known: annotated entries, shape (N, G).
        probabilities: of the bundle's labels, shape (N, L).
        bundle: whose policies decide.
        taxonomy: the G groups.
        samples: bootstrap resamples; 0 leaves the intervals out.
        seed: of the resampling.
    """

    def under(policy: str) -> Predictions:
        decisions = bundle.policies.decide(probabilities, policy)
        answers = group_answers(probabilities, decisions, bundle.policies.get(policy), bundle.label_set, taxonomy)
        return Predictions(truth, known, *answers)

    policies, groups = bundle.policies, tuple(taxonomy.groups)
    rows = under(policies.default)
    result: dict[str, Any] = {
        "policy": policies.default, **measure(rows, groups),
        "policies": {name: _short_row(under(name)) for name in policies.values}, "baselines": {},
    }  # fmt: skip
    if samples:
        result["intervals"] = intervals(rows, result, groups, samples=samples, seed=seed)
    return result, rows


def _short_row(rows: Predictions) -> dict[str, float]:
    arrays = (rows.truth, rows.decisions, rows.known)
    return {"macro_f1": macro_f1(*arrays), "micro_f1": micro_f1(*arrays), "samples_f1": samples_f1(*arrays)}
