"""Everything one run of the report measured, and what the project promises of its speed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.contenders.graphs import OURS_FP32, OURS_INT8, STOCK_FP32, STOCK_INT8
from benchmarks.contenders.networks import STEP_OURS, STEP_STOCK
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
    small_mib: float  # resident memory after that first small batch
    large_mib: float  # and after a large one


@dataclass(frozen=True)
class Entry:
    """A contender that ran."""

    precision: str  # of its large products
    file_bytes: int  # size of what it loads
    difference: float  # largest one of its logits from those of HF eager, on padded rows
    footprint: Footprint | None = None  # load time and memory; None when not measured


@dataclass(frozen=True)
class Results:
    """One run; the entries of a race are seconds a call (R,), with rounds aligned."""

    title: str  # of the model measured
    threads: int  # every contender had
    clock: str  # what the seconds are of
    machine: Mapping[str, Any]  # see `describe_machine`
    entries: Mapping[str, Entry]  # the contenders that ran, by name
    missing: Mapping[str, str]  # name and reason of those that did not
    cells: Mapping[Cell, Mapping[str, Seconds]]  # calls of each contender
    training_title: str  # of the network trained
    steps: Mapping[Step, Mapping[str, Seconds]]  # training steps of Hugging Face's network and ours
    base_files: Mapping[str, int] = field(default_factory=dict)  # bytes of our files of DeBERTa-v3-base, if measured

    def summary(self, where: Cell | Step, name: str) -> Summary | None:
        """Seconds a call or step; None where it did not run."""
        taken = self._taken(where)
        return summarise(taken[name]) if name in taken else None

    def speedup(self, where: Cell | Step, slow: str, fast: str) -> Summary | None:
        """How many times faster `fast` is than `slow`; None where one of them did not run."""
        taken = self._taken(where)
        return speedup(taken[slow], taken[fast]) if slow in taken and fast in taken else None

    def _taken(self, where: Cell | Step) -> Mapping[str, Seconds]:
        return self.steps.get(where, {}) if isinstance(where, Step) else self.cells.get(where, {})


_STEP = "training step, ours / HF eager, bf16 autocast"
_FP32 = "export fp32, ours / stock optimum fp32"
_INT8 = "export int8, ours / stock optimum int8 (avx512_vnni, per channel)"
_BOTH = "export int8, ours / stock fp32"
_FLOORS: Iterable[tuple[str, Cell | Step, str, str, float]] = (
    (_STEP, Step("bf16", Cell(32, 24)), STEP_STOCK, STEP_OURS, 3.5),
    (_STEP, Step("bf16", Cell(16, 128)), STEP_STOCK, STEP_OURS, 2.0),
    (_FP32, Cell(1, 16), STOCK_FP32, OURS_FP32, 1.15),
    (_FP32, Cell(8, 32), STOCK_FP32, OURS_FP32, 1.35),
    (_FP32, Cell(32, 32), STOCK_FP32, OURS_FP32, 1.5),
    (_INT8, Cell(8, 32), STOCK_INT8, OURS_INT8, 1.7),
    (_BOTH, Cell(8, 32), STOCK_FP32, OURS_INT8, 3.2),
    (_BOTH, Cell(32, 32), STOCK_FP32, OURS_INT8, 3.2),
)
"""Promise, where, the slower, the faster, and the least ratio."""


def judge(results: Results) -> list[Verdict]:
    """Every promise against one run, in the order of the table."""
    verdicts = []
    for promise, where, slow, fast, bound in _FLOORS:
        ratio = results.speedup(where, slow, fast)
        verdicts.append(Verdict(promise, str(where), bound, ratio.median if ratio else None, ratio))
    verdicts += [_never_slower(results, STOCK_FP32, OURS_FP32), _never_slower(results, STOCK_INT8, OURS_INT8)]
    files = results.base_files
    smaller = files["int8"] / files["fp32"] if files else None
    promise = "int8 file / fp32 file, DeBERTa-v3-base with its 128k vocabulary"
    return [*verdicts, Verdict(promise, "file size", INT8_OVER_FP32_FILE, smaller, at_most=True)]


def _never_slower(results: Results, slow: str, fast: str) -> Verdict:
    found = {cell: results.speedup(cell, slow, fast) for cell in results.cells}
    ratios = {cell: ratio for cell, ratio in found.items() if ratio is not None}
    promise = f"never slower, {fast} / {slow}"
    if not ratios:
        return Verdict(promise, "any cell", 1.0, None)
    worst, ratio = min(ratios.items(), key=lambda item: item[1].median)
    return Verdict(promise, f"worst of {len(ratios)} cells: {worst}", 1.0, ratio.median, ratio)
