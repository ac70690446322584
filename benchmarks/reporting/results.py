"""Everything one run of the report measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.model import ModelShape
from benchmarks.measure.footprint import Footprint
from benchmarks.measure.limits import Limits
from benchmarks.measure.summary import Summary, speedup, summarise

Seconds = NDArray[np.float64]


class Cell(NamedTuple):
    """A batch of N rows of T tokens."""

    batch: int
    length: int

    def __str__(self) -> str:
        return f"{self.batch} x {self.length}"


class Step(NamedTuple):
    """A training step in one precision."""

    precision: str
    cell: Cell

    def __str__(self) -> str:
        return f"{self.precision} {self.cell}"


@dataclass(frozen=True)
class Entry:
    """A contender that ran.

    Attributes:
        precision: of its large products.
        file_bytes: size of what it loads.
        difference: largest absolute difference of its logits from those of HF eager, on padded rows.
        footprint: load time and memory; None when not measured.
    """

    precision: str
    file_bytes: int
    difference: float
    footprint: Footprint | None = None


@dataclass(frozen=True)
class Results:
    """One run.

    Attributes:
        title: of the model measured.
        shape: its sizes.
        threads: every contender had.
        clock: what the seconds are of.
        machine: see `describe_machine`.
        limits: of the machine, the better of before and after.
        entries: the contenders that ran, by name.
        missing: name and reason of those that did not.
        cells: seconds a call (R,), per cell and contender, rounds aligned within a cell.
        training_shape: sizes of the network trained.
        steps: seconds a training step (R,), per step and contender.
        base_files: bytes of our fp32 and int8 files of DeBERTa-v3-base; empty when not measured.
    """

    title: str
    shape: ModelShape
    threads: int
    clock: str
    machine: Mapping[str, Any]
    limits: Limits
    entries: Mapping[str, Entry]
    missing: Mapping[str, str]
    cells: Mapping[Cell, Mapping[str, Seconds]]
    training_shape: ModelShape
    steps: Mapping[Step, Mapping[str, Seconds]]
    base_files: Mapping[str, int] = field(default_factory=dict)

    def summary(self, cell: Cell, name: str) -> Summary | None:
        """Seconds a call; None where it did not run."""
        return _summary(self.cells.get(cell, {}), name)

    def speedup(self, cell: Cell, slow: str, fast: str) -> Summary | None:
        """How many times faster `fast` is than `slow`; None where one of them did not run."""
        return _speedup(self.cells.get(cell, {}), slow, fast)

    def step_summary(self, step: Step, name: str) -> Summary | None:
        """Seconds a training step; None where it did not run."""
        return _summary(self.steps.get(step, {}), name)

    def step_speedup(self, step: Step, slow: str, fast: str) -> Summary | None:
        """As `speedup`, for a training step."""
        return _speedup(self.steps.get(step, {}), slow, fast)


def _summary(taken: Mapping[str, Seconds], name: str) -> Summary | None:
    return summarise(taken[name]) if name in taken else None


def _speedup(taken: Mapping[str, Seconds], slow: str, fast: str) -> Summary | None:
    return speedup(taken[slow], taken[fast]) if slow in taken and fast in taken else None
