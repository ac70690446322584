"""How segments become a text: the rule and its thresholds, chosen and fitted on entries composed of dev rows.

No corpus annotates journals by sentence. A composed entry is a few dev rows, one a segment, and has every label
that one of them has; its segments' probabilities are those rows', so that no model is run.

Shapes: N rows, E entries, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.aggregation import METHODS, Aggregation, aggregate
from shared.metrics import macro_f1
from shared.thresholds import Policies
from training.calibration.policies import fit_policies
from training.config import CalibrationConfig

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NUM_ENTRIES = 2000
FEWEST_SEGMENTS, MOST_SEGMENTS = 3, 6
FEWEST_ROWS = 4 * MOST_SEGMENTS
"""Dev rows from which entries can be composed that are not all the same ones."""

UNION, MARGIN = "union", 0.02
"""`max` with the thresholds of a segment, and by how much macro F1 another rule must be better.

A text then has a label because one of its segments has: that can be shown, and holds for entries of any length, where
`noisy_or` adds up the doubts of a hundred sentences. On 320 entries of ten sentences (embedded corpus, 2026-11-27) the
union has macro F1 0.610; thresholds fitted on entries give 0.60 (max), 0.605 (noisy_or), 0.50 (mean), 0.606 (top2).
"""


@dataclass(frozen=True)
class Entries:
    """Composed entries: rows of each, and what is annotated of them, both of shape (E, L)."""

    rows: list[NDArray[np.intp]]
    truth: Bools
    known: Bools

    def probabilities(self, of_rows: Floats, method: str, activation: str = "sigmoid") -> Floats:
        """Those of the entries, shape (E, L), of those of the rows, shape (N, L)."""
        return np.stack([aggregate(of_rows[rows], method, activation) for rows in self.rows])


def compose(rows: NDArray[np.intp], truth: Bools, known: Bools, generator: np.random.Generator) -> Entries:
    """Entries of three to six different `rows` each.

    A label of an entry is known where it is of every row, and the entry then has it where one of them has: known from
    one positive row alone, it would be known only of entries that have it.
    """
    sizes = generator.integers(FEWEST_SEGMENTS, MOST_SEGMENTS + 1, NUM_ENTRIES)
    chosen = [generator.choice(rows, size, replace=False) for size in sizes]
    seen = np.stack([known[each].all(axis=0) for each in chosen])
    positive = np.stack([truth[each].any(axis=0) for each in chosen])
    return Entries(chosen, positive & seen, seen)


def fit_aggregation(
    truth: Bools,
    probabilities: Floats,
    known: Bools,
    *,
    labels: tuple[str, ...],
    config: CalibrationConfig,
    split: str,
    single_label: bool = False,
    seed: int = 0,
) -> Aggregation:
    """The rule that decides composed entries best, with thresholds fitted on all of them.

    Rules are compared on entries of one half of the rows, with thresholds fitted on entries of the other half.

    Args:
        truth: labels of the dev rows, shape (N, L).
        probabilities: calibrated, shape (N, L).
        known: annotated entries, shape (N, L).
        labels: names of the L labels.
        config: how thresholds are fitted.
        split: name of the split.
        single_label: whether exactly one label applies to a row; the probabilities are a softmax' then.
        seed: of the composition.

    Returns:
        `max` without thresholds of its own where there are too few rows, or no composed entry has a known label.
    """
    if len(truth) < FEWEST_ROWS:
        return Aggregation()
    generator, activation = np.random.default_rng(seed), "softmax" if single_label else "sigmoid"

    def fit_to(truth: Bools, probabilities: Floats, known: Bools) -> Policies:
        return fit_policies(
            truth, probabilities, known, labels=labels, config=config, split=split, single_label=single_label
        )

    def fit(entries: Entries, method: str) -> Policies:
        return fit_to(entries.truth, entries.probabilities(probabilities, method, activation), entries.known)

    def measure(policies: Policies, method: str) -> float:
        decided = policies.decide(halves[1].probabilities(probabilities, method, activation), "f1")
        return macro_f1(halves[1].truth, decided, halves[1].known)

    shuffled = generator.permutation(len(truth))
    rows = [np.sort(half) for half in np.array_split(shuffled, 2)]
    halves = [compose(half, truth, known, generator) for half in rows]
    if not all(half.known.any() for half in halves):
        return Aggregation()
    found = {method: measure(fit(halves[0], method), method) for method in METHODS}
    found[UNION] = measure(fit_to(truth[rows[0]], probabilities[rows[0]], known[rows[0]]), "max")
    best = max(found, key=lambda method: found[method] + MARGIN * (method == UNION))
    measured = {
        "macro_f1": {method: round(value, 4) for method, value in found.items()},
        "entries": NUM_ENTRIES,
        "segments": [FEWEST_SEGMENTS, MOST_SEGMENTS],
        "fitted_on": split,
    }
    if best == UNION:
        return Aggregation("max", fit_to(truth, probabilities, known), measured | {"chosen": UNION})
    every = compose(np.arange(len(truth)), truth, known, generator)
    return Aggregation(best, fit(every, best), measured | {"chosen": best})
