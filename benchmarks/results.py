"""Everything one run of the report measured, and what the project promises of its speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.contenders.graphs import OURS_FP32, OURS_INT8, STOCK_FP32, STOCK_INT8
from benchmarks.contenders.models import ModelShape
from benchmarks.contenders.networks import STEP_OURS, STEP_STOCK
from benchmarks.machine import Limits
from benchmarks.measure import Seconds, Summary, speedup, summarise
from benchmarks.rendering import Verdict

INT8_OVER_FP32_FILE = 0.27


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


class Footprint(NamedTuple):
    """A contender alone in a process."""

    import_s: float  # importing its library
    load_s: float  # from the file to its first logits after that
    idle_mib: float  # resident memory after that first small batch
    peak_mib: float  # largest resident memory up to the end of the large batch


@dataclass(frozen=True)
class Entry:
    """A contender that ran."""

    precision: str  # of its large products
    file_bytes: int  # size of what it loads
    difference: float  # largest one of its logits from those of HF eager, on padded rows
    footprint: Footprint | None = None  # load time and memory; None when not measured


@dataclass(frozen=True)
class Results:
    """One run."""

    title: str  # of the model measured
    shape: ModelShape  # its sizes
    threads: int  # every contender had
    clock: str  # what the seconds are of
    machine: Mapping[str, Any]  # see `describe_machine`
    limits: Limits  # of the machine, the better of before and after
    entries: Mapping[str, Entry]  # the contenders that ran, by name
    missing: Mapping[str, str]  # name and reason of those that did not
    cells: Mapping[Cell, Mapping[str, Seconds]]  # seconds a call (R,), rounds aligned within a cell
    training_shape: ModelShape  # sizes of the network trained
    steps: Mapping[Step, Mapping[str, Seconds]]  # seconds a training step (R,)
    base_files: Mapping[str, int] = field(
        default_factory=dict
    )  # bytes of our files of DeBERTa-v3-base; empty when not measured

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


@dataclass(frozen=True)
class _Floor:
    promise: str
    slow: str
    fast: str
    cell: Cell
    bound: float


_FP32 = "export fp32, ours / stock optimum fp32"
_INT8 = "export int8, ours / stock optimum int8 (avx512_vnni, per channel)"
_BOTH = "export int8, ours / stock fp32"
_FLOORS = (
    _Floor(_FP32, STOCK_FP32, OURS_FP32, Cell(1, 16), 1.15),
    _Floor(_FP32, STOCK_FP32, OURS_FP32, Cell(8, 32), 1.35),
    _Floor(_FP32, STOCK_FP32, OURS_FP32, Cell(32, 32), 1.5),
    _Floor(_INT8, STOCK_INT8, OURS_INT8, Cell(8, 32), 1.7),
    _Floor(_BOTH, STOCK_FP32, OURS_INT8, Cell(8, 32), 3.2),
    _Floor(_BOTH, STOCK_FP32, OURS_INT8, Cell(32, 32), 3.2),
)
_TRAINING_FLOORS = ((Cell(32, 24), 3.5), (Cell(16, 128), 2.0))


def judge(results: Results) -> list[Verdict]:
    """Every promise against one run, in the order of the table."""
    verdicts = [_training(results, cell, bound) for cell, bound in _TRAINING_FLOORS]
    verdicts += [_single(results, floor) for floor in _FLOORS]
    verdicts += [_never_slower(results, STOCK_FP32, OURS_FP32), _never_slower(results, STOCK_INT8, OURS_INT8)]
    verdicts.append(_file_size(results))
    return verdicts


def _training(results: Results, cell: Cell, bound: float) -> Verdict:
    ratio = results.step_speedup(Step("bf16", cell), STEP_STOCK, STEP_OURS)
    promise = f"training step, ours / HF eager, bf16 autocast, {results.training_shape.name}"
    return Verdict(promise, str(cell), bound, ratio.median if ratio else None, ratio)


def _single(results: Results, floor: _Floor) -> Verdict:
    ratio = results.speedup(floor.cell, floor.slow, floor.fast)
    return Verdict(floor.promise, str(floor.cell), floor.bound, ratio.median if ratio else None, ratio)


def _never_slower(results: Results, slow: str, fast: str) -> Verdict:
    found = {cell: results.speedup(cell, slow, fast) for cell in results.cells}
    ratios = {cell: ratio for cell, ratio in found.items() if ratio is not None}
    promise = f"never slower, {fast} / {slow}"
    if not ratios:
        return Verdict(promise, "any cell", 1.0, None)
    worst, _ = min(ratios.items(), key=lambda item: item[1].median)
    return Verdict(promise, f"worst of {len(ratios)} cells: {worst}", 1.0, ratios[worst].median, ratios[worst])


def _file_size(results: Results) -> Verdict:
    files = results.base_files
    ratio = files["int8"] / files["fp32"] if {"int8", "fp32"} <= files.keys() else None
    promise = "int8 file / fp32 file, DeBERTa-v3-base with its 128k vocabulary"
    return Verdict(promise, "file size", INT8_OVER_FP32_FILE, ratio, at_most=True)
