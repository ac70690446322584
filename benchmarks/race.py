"""The races of the report: who can run here, whether all compute the same, and everyone's time in every cell."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.contenders import graphs, networks
from benchmarks.contenders.contender import Batch, Contender, Run, UnavailableError
from benchmarks.contenders.models import ModelShape, Subject, padded_batch, random_batch
from benchmarks.measure import Clock, Plan, Seconds, Worker, in_fresh_process, interleave
from benchmarks.rendering import advance
from benchmarks.results import Cell, Entry, Footprint, Step

CONTENDERS = {contender.name: contender for contender in (*networks.contenders(), *graphs.contenders())}
"""In the order of the tables; whether one can run here it says itself."""

AGREEMENT_LENGTHS = (5, 17, 40)
FOOTPRINT_CELL = Cell(8, 128)


class Field:
    """The contenders that could be opened, in `entries`; `missing` says why the others could not.

    Args:
        subject: what is measured.
        threads: of everyone.
        reference: logits of `agreement_batch` to which all are compared.
    """

    def __init__(self, subject: Subject, threads: int, reference: NDArray[np.float32]) -> None:
        self._bench, self._vocabulary, self._threads = subject.bench, subject.vocabulary, threads
        self._reference = reference
        self._runs: dict[str, Run] = {}
        self._files: dict[str, Path] = {}
        self.entries: dict[str, Entry] = {}
        self.missing: dict[str, str] = {}

    def enter(self, contender: Contender) -> None:
        """Prepare, open and run it once beside the others, or note why that is not possible."""
        try:
            file = contender.prepare(self._bench)
            run = contender.open(file, self._threads)
            logits = run(agreement_batch(self._vocabulary))
        except UnavailableError as error:
            self.missing[contender.name] = str(error)
            return
        except Exception as error:  # a peer that fails in its own way must not end the run
            self.missing[contender.name] = f"failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            return
        self._runs[contender.name], self._files[contender.name] = run, file
        difference = float(np.abs(logits - self._reference).max())
        self.entries[contender.name] = Entry(contender.precision, _size(file), difference)

    def race(self, cell: Cell, plan: Plan, clock: Clock) -> Mapping[str, Seconds]:
        """Everyone's seconds a call on one batch of this cell."""
        batch = random_batch(*cell, self._vocabulary)
        return interleave({name: partial(run, batch) for name, run in self._runs.items()}, plan, clock)

    def weigh(self, name: str) -> None:
        """Measure one contender's load time and memory in a process of its own, if it comes through."""
        arguments = (name, self._files[name], self._threads, self._vocabulary)
        with contextlib.suppress(Exception):  # as in `enter`
            self.entries[name] = replace(self.entries[name], footprint=in_fresh_process(footprint, *arguments))


def footprint(name: str, file: Path, threads: int, vocabulary: int) -> Footprint:
    """What a contender costs beside time, in this process, which should have done nothing before."""
    contender = CONTENDERS[name]
    start = time.perf_counter()
    importlib.import_module(contender.library)
    imported = time.perf_counter()
    run = contender.open(file, threads)
    run(random_batch(1, 8, vocabulary))
    loaded = time.perf_counter()
    small = _memory_mib()
    for _ in range(2):
        run(random_batch(*FOOTPRINT_CELL, vocabulary))
    return Footprint(round(imported - start, 3), round(loaded - imported, 3), small, _memory_mib())


def _memory_mib() -> float:
    return float(round(psutil.Process().memory_info().rss / 2**20, 1))


def agreement_batch(vocabulary: int) -> Batch:
    """Padded rows on which all contenders are compared."""
    return padded_batch(AGREEMENT_LENGTHS, vocabulary)


def race_steps(
    shape: ModelShape, cells: Sequence[Cell], precisions: Iterable[str], *,
    threads: int, plan: Plan, clock: Clock, bar: Any,
) -> dict[Step, Mapping[str, Seconds]]:  # fmt: skip
    """Seconds of a training step, Hugging Face's attention against ours, in every cell and precision.

    Both are started anew `plan.fresh` times: where its memory happens to lie makes a process up to a tenth faster or
    slower for as long as it lives.
    """
    found: dict[Step, Mapping[str, Seconds]] = {}
    for precision in precisions:
        for cell in cells:
            step = Step(precision, cell)
            advance(bar, f"training step {step}")
            turns = [_race_fresh(shape, step, threads, plan, clock) for _ in range(plan.fresh)]
            found[step] = {name: np.concatenate([turn[name] for turn in turns]) for name in turns[0]}
    return found


def _race_fresh(shape: ModelShape, step: Step, threads: int, plan: Plan, clock: Clock) -> Mapping[str, Seconds]:
    with networks.training_steps(shape, *step.cell, step.precision, threads) as steps:
        return interleave(steps, plan, partial(_cpu_s, steps.values()) if clock is time.process_time else clock)


def _cpu_s(workers: Iterable[Worker]) -> float:
    return sum(worker.cpu_s() for worker in workers)


def _size(path: Path) -> int:
    """Bytes of a file with its external data, or of a checkpoint's weights."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.glob("*.safetensors"))
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
