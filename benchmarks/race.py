"""The races of the report: who can run here, whether all compute the same, and everyone's time in every cell."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders import hugging_face
from benchmarks.contenders.contender import Batch, Contender, Run, UnavailableError
from benchmarks.contenders.model import ModelShape, padded_batch, random_batch
from benchmarks.contenders.sources import Subject
from benchmarks.contenders.training import training_steps
from benchmarks.measure.footprint import measure_footprint
from benchmarks.measure.progress import Progress
from benchmarks.measure.rounds import Clock, Plan, interleave
from benchmarks.measure.worker import Worker
from benchmarks.reporting.results import Cell, Entry, Seconds, Step

AGREEMENT_LENGTHS = (5, 17, 40)
FOOTPRINT_CELL = Cell(8, 128)


class Field:
    """The contenders that could be opened, in `entries`; `missing` tells why the others could not.

    Args:
        subject: what is measured.
        threads: of everyone.
        reference: logits of `agreement_batch` to which all are compared.
    """

    def __init__(self, subject: Subject, threads: int, reference: NDArray[np.float32]) -> None:
        self._bench, self._shape, self._threads = subject.bench, subject.shape, threads
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
            logits = run(agreement_batch(self._shape))
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
        batch = random_batch(*cell, self._shape.vocabulary)
        return interleave({name: partial(run, batch) for name, run in self._runs.items()}, plan, clock)

    def weigh(self, name: str) -> None:
        """Measure one contender's load time and memory in a process of its own."""
        footprint = measure_footprint(
            name, self._files[name], threads=self._threads, vocabulary=self._shape.vocabulary,
            batch=FOOTPRINT_CELL.batch, length=FOOTPRINT_CELL.length,
        )  # fmt: skip
        self.entries[name] = replace(self.entries[name], footprint=footprint)


def agreement_batch(shape: ModelShape) -> Batch:
    """Padded rows on which all contenders are compared."""
    return padded_batch(AGREEMENT_LENGTHS, shape.vocabulary)


def reference_logits(subject: Subject, threads: int) -> NDArray[np.float32]:
    """What Hugging Face's own network says to them, shape (N, L)."""
    return hugging_face.eager().open(subject.bench.checkpoint, threads)(agreement_batch(subject.shape))


def race_steps(
    shape: ModelShape,
    cells: Sequence[Cell],
    precisions: Iterable[str],
    *,
    threads: int,
    plan: Plan,
    clock: Clock,
    progress: Progress,
) -> dict[Step, Mapping[str, Seconds]]:
    """Seconds of a training step, Hugging Face's attention against ours, in every cell and precision.

    Both are started anew `plan.fresh` times: where its memory happens to lie makes a process up to a tenth faster or
    slower for as long as it lives.
    """
    found: dict[Step, Mapping[str, Seconds]] = {}
    for precision in precisions:
        for cell in cells:
            step = Step(precision, cell)
            progress.step(f"training step {step}")
            turns = [_race_fresh(shape, step, threads, plan, clock) for _ in range(plan.fresh)]
            found[step] = {name: np.concatenate([turn[name] for turn in turns]) for name in turns[0]}
    return found


def _race_fresh(shape: ModelShape, step: Step, threads: int, plan: Plan, clock: Clock) -> Mapping[str, Seconds]:
    with training_steps(shape, *step.cell, step.precision, threads) as steps:
        return interleave(steps, plan, partial(_cpu_s, steps.values()) if clock is time.process_time else clock)


def _cpu_s(workers: Iterable[Worker]) -> float:
    return sum(worker.cpu_s() for worker in workers)


def _size(path: Path) -> int:
    """Bytes of a file with its external data, or of a checkpoint's weights."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.glob("*.safetensors"))
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
