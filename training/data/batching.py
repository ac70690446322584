"""The order of rows in an epoch: which rows, grouped by length into batches, the same on every process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from shared.errors import ConfigError
from training.config.data import SamplingConfig
from training.data.corpus import Corpus

Rows = NDArray[np.intp]
LENGTH_WEIGHT = 4.0
"""Uses of a row that weigh as much as a length twice, or none, of the batch's: chosen for little padding."""
POOL_BATCHES = 50
"""Batches that are sorted by length together: more means less padding, fewer means more chance in a batch."""


@dataclass(frozen=True)
class RowPlan:
    """Which rows an epoch holds, and how often.

    Args:
        weights: how often a row is seen in an epoch, shape (N,).
        rare: rows of every class that is oversampled.
        factor: times a rare class is seen; a class of n rows gets floor(n * factor) - n further ones.
    """

    weights: NDArray[np.float32]
    rare: tuple[Rows, ...] = ()
    factor: float = 1.0

    @property
    def size(self) -> int:
        """Rows in an epoch, the same in each."""
        weighted = sum(_copies(int(count), float(weight)) for weight, count in self._groups())
        return weighted + sum(_copies(len(rows), self.factor) - len(rows) for rows in self.rare)

    def draw(self, random: np.random.Generator) -> Rows:
        """Rows of one epoch, in no order; fractions are drawn anew, without replacement."""
        drawn = [
            _repeat(np.flatnonzero(self.weights == weight), _copies(int(count), float(weight)), random)
            for weight, count in self._groups()
        ]
        further = [_repeat(rows, _copies(len(rows), self.factor) - len(rows), random) for rows in self.rare]
        return np.concatenate([*drawn, *further])

    def _groups(self) -> list[tuple[np.float32, np.int64]]:
        return list(zip(*np.unique(self.weights, return_counts=True), strict=True))


def plan_rows(corpus: Corpus, sampling: SamplingConfig) -> RowPlan:
    """Every row by the weight of its corpus, and further rows of the classes under `oversample_below`."""
    if sampling.oversample_below is None:
        return RowPlan(corpus.weights)
    rare = [np.flatnonzero(column) for column in corpus.hard_targets.T if 0 < column.sum() < sampling.oversample_below]
    return RowPlan(corpus.weights, tuple(rare), sampling.oversample_factor)


def _copies(count: int, factor: float) -> int:
    return int(np.floor(count * factor + 1e-6))


def _repeat(rows: Rows, size: int, random: np.random.Generator) -> Rows:
    """`size` of the rows: all of them as often as they fit, then a sample without replacement."""
    full, rest = divmod(size, len(rows))
    return np.concatenate([np.tile(rows, full), random.permutation(rows)[:rest]])


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


class BatchOrderSampler(Sampler[int]):
    """Rows in the order of training, a function of seed and epoch alone: so it is equal on every process and on resume.

    Rows are shuffled, sorted by length within pools of batches, cut into batches, and the batches are shuffled; the
    longest comes first, so that a lack of memory shows at once, and an incomplete one last.

    Args:
        lengths: tokens of every row, shape (N,).
        batch_size: rows of one forward pass, all processes together.
        seed: of the order.
        plan: which rows an epoch holds; each once when left out.
        group_by_length: False leaves the shuffled order.
        presence: brings rare labels into every batch; none when left out.
    """

    def __init__(
        self,
        lengths: NDArray[np.integer],
        batch_size: int,
        *,
        seed: int,
        plan: RowPlan | None = None,
        group_by_length: bool = True,
        presence: MinimumPresence | None = None,
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.plan = plan or RowPlan(np.ones(len(self.lengths), dtype=np.float32))
        self.group_by_length = group_by_length
        self.presence = presence
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass; `accelerate` and the Trainer call this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.plan.size

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(batch.tolist() for batch in self.batches(self.epoch))

    def batches(self, epoch: int) -> list[Rows]:
        """The batches of an epoch, in order."""
        random = np.random.default_rng((self.seed, epoch))
        rows = random.permutation(self.plan.draw(random))
        if self.group_by_length:
            rows = self._sorted_in_pools(rows)
        batches = [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]
        if self.presence is not None:
            batches = self.presence.apply(batches, random)
        return self._shuffled(batches, random) if self.group_by_length else batches

    def _sorted_in_pools(self, rows: Rows) -> Rows:
        pool = self.batch_size * max(1, min(POOL_BATCHES, len(rows) // (self.batch_size * 4)))
        pools = [rows[start : start + pool] for start in range(0, len(rows), pool)]
        return np.concatenate([part[np.argsort(-self.lengths[part], kind="stable")] for part in pools])

    def _shuffled(self, batches: list[Rows], random: np.random.Generator) -> list[Rows]:
        last = [batches.pop()] if len(batches[-1]) < self.batch_size else []
        order = random.permutation(len(batches)).tolist()
        if order:
            longest = max(order, key=lambda batch: int(self.lengths[batches[batch]].max()))
            order.insert(0, order.pop(order.index(longest)))
        return [batches[batch] for batch in order] + last


def build_sampler(
    corpus: Corpus, lengths: NDArray[np.integer], sampling: SamplingConfig, *, batch_size: int, seed: int
) -> BatchOrderSampler:
    """The sampler of a training split as configured.

    Args:
        corpus: N rows.
        lengths: tokens of every row, shape (N,).
        sampling: oversampling, presence and length grouping.
        batch_size: rows of one forward pass, all processes together.
        seed: of the order.

    Raises:
        ConfigError: when `min_presence` does not fit in a batch.
    """
    presence = None
    if sampling.min_presence:
        if sampling.min_presence > batch_size:
            raise ConfigError(
                f"data.sampling.min_presence {sampling.min_presence} does not fit in a batch of {batch_size} rows."
            )
        presence = MinimumPresence(corpus.hard_targets, lengths, sampling.min_presence)
    return BatchOrderSampler(
        lengths,
        batch_size,
        seed=seed,
        plan=plan_rows(corpus, sampling),
        group_by_length=sampling.group_by_length,
        presence=presence,
    )
