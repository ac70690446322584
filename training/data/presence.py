"""Stratified batches: every label present in each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]
LENGTH_WEIGHT = 4.0
"""Uses of a row that weigh as much as a length twice, or none, of the batch's: chosen for little padding."""


class MinimumPresence:
    """Puts at least `presence` rows of every label into each batch, as far as room and rows allow.

    Rows brought in are those used little so far in the epoch and near in length, so that batches keep their width; they
    replace rows that no label of the batch needs, the commonest first. So rows of rare labels are repeated and others
    wait for another epoch.

    Args:
        targets: labels of every row, shape (N, L).
        lengths: tokens of every row, shape (N,).
        presence: rows of every label wanted in a batch.
    """

    def __init__(self, targets: NDArray[np.bool_], lengths: NDArray[np.integer], presence: int) -> None:
        self.targets = targets
        self.lengths = np.asarray(lengths)
        self.presence = presence
        self._rows_of = [np.flatnonzero(column) for column in targets.T]
        self._rarest_first = [int(c) for c in np.argsort(targets.sum(axis=0), kind="stable") if len(self._rows_of[c])]

    def apply(self, batches: Sequence[Rows], random: np.random.Generator) -> list[Rows]:
        """The batches with rows exchanged; their sizes stay.

        Args:
            batches: row numbers of each batch of an epoch.
            random: breaks ties between equally good rows.
        """
        used = np.bincount(np.concatenate(batches), minlength=len(self.targets)) + 0.01 * random.random(
            len(self.targets)
        )
        return [self._fill(batch.copy(), used) for batch in batches]

    def _fill(self, batch: Rows, used: NDArray[np.float64]) -> Rows:
        middle = float(np.median(self.lengths[batch]))
        here = np.zeros(len(self.targets), dtype=np.bool_)
        here[batch] = True
        for label in self._rarest_first:
            for _ in range(self.presence - int(self.targets[batch, label].sum())):
                place = self._spare_place(batch)
                candidates = self._rows_of[label][~here[self._rows_of[label]]]
                if place is None or not len(candidates):
                    break
                distance = LENGTH_WEIGHT * np.abs(self.lengths[candidates] - middle) / middle
                chosen = candidates[np.argmin(used[candidates] + distance)]
                here[batch[place]], here[chosen] = False, True
                used[batch[place]] -= 1
                used[chosen] += 1
                batch[place] = chosen
        return batch

    def _spare_place(self, batch: Rows) -> int | None:
        """Place of a row whose labels all stand more than `presence` times in the batch; the commonest labels first."""
        labels = self.targets[batch]
        scarcest = np.where(labels, labels.sum(axis=0), len(batch) + 1).min(axis=1)
        place = int(np.argmax(scarcest))
        return place if scarcest[place] > self.presence else None
