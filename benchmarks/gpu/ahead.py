"""Compile ahead what the cells need, several at a time, so that the time on a card goes to measuring."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from benchmarks.contenders.models import ModelShape

Cell = tuple[ModelShape, int, int]
"""A model, and the rows and the length of its batch."""


def compile_ahead(cells: Mapping[str, Cell], seconds: float) -> dict[str, float | None]:
    """Seconds from nothing to the fifth step of each cell with compiled layers, beside the others.

    The compiled code stays in the cache on disk. Each cell has a process of its own, one for every two CPU cores; what
    is not begun within `seconds` is left out, as None.
    """
    workers = max(1, min(len(cells), (os.cpu_count() or 1) // 2))
    first_steps = partial(_first_steps, time.time() + seconds)
    # a forked process could not use CUDA
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        return dict(zip(cells, pool.map(first_steps, cells.values()), strict=True))


def _first_steps(end: float, cell: Cell) -> float | None:
    started = time.perf_counter()
    if time.time() > end:
        return None
    from benchmarks.gpu.steps import LAYERS, measure_step  # loads torch, in the process of the cell alone

    shape, rows, length = cell
    measure_step(shape, LAYERS, rows, length)
    return round(time.perf_counter() - started, 1)
