"""Measure the model against its peers and write benchmarks/reports/<date>/; `make bench` runs this.

What is measured: seconds of one call, in a grid of batch x tokens, of Hugging Face's network in PyTorch, of optimum's
stock export and our export in ONNX Runtime; seconds of a training step; load time, memory and file size. Why in one
process and in turns: the speed of a machine drifts by more than the differences looked for, and only a ratio taken
within the same seconds means something.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tqdm import tqdm

from benchmarks.contenders.graphs import base_files
from benchmarks.contenders.models import SHAPES, STARTER, ModelShape, Subject, bundle_subject, random_subject
from benchmarks.contenders.networks import COMPILED, open_eager, step_precisions
from benchmarks.machine import describe_machine
from benchmarks.measure import Clock, Plan, limit_threads
from benchmarks.race import CONTENDERS, Field, agreement_batch, race_steps
from benchmarks.rendering import add_values, advance, parser, publish
from benchmarks.report_page import as_json, render_report, report_figure
from benchmarks.results import Cell, Results
from shared.cli import positive, run_command

GRID = tuple(
    Cell(*cell)
    for cell in ((1, 8), (1, 16), (1, 32), (1, 128), (1, 512), (8, 8), (8, 32), (8, 128), (8, 512), (32, 32))
)
QUICK_GRID = (Cell(1, 16), Cell(8, 32), Cell(32, 32))
TRAINING_CELLS = (Cell(32, 24), Cell(16, 128))
CLOCK_NAMES: dict[Clock, str] = {time.perf_counter: "wall clock", time.process_time: "CPU time of the process"}
REPORTS = Path(__file__).parent / "reports"


@dataclass(frozen=True)
class Scale:
    """How much to measure; quick runs answer fewer promises and wobble more."""

    cells: Sequence[Cell] = GRID
    training_cells: Sequence[Cell] = TRAINING_CELLS
    precisions: Sequence[str] = field(default_factory=step_precisions)
    training_shape: ModelShape = STARTER
    left_out: Sequence[str] = ()
    plan: Plan = field(default_factory=lambda: Plan(max_rounds=21, min_rounds=7, budget_s=30))
    training_plan: Plan = field(default_factory=lambda: Plan(max_rounds=9, min_rounds=3, budget_s=6, warmup=8, fresh=3))
    with_base_files: bool = True
    with_footprints: bool = True


def quick_scale() -> Scale:
    """Three cells and one of training, few rounds, no compiler, and the precision a run would train in here."""
    return Scale(
        cells=QUICK_GRID,
        training_cells=TRAINING_CELLS[:1],
        precisions=step_precisions()[:1],
        left_out=(COMPILED,),
        plan=Plan(max_rounds=9, min_rounds=3, budget_s=8),
        training_plan=Plan(max_rounds=5, min_rounds=3, budget_s=4, warmup=3),
        with_base_files=False,
    )


def measure(subject: Subject, threads: int, scale: Scale, clock: Clock) -> Results:
    """The whole run: everyone's entrance, the races, and the costs."""
    steps = 2 + 2 * len(CONTENDERS) + len(scale.cells) + len(scale.precisions) * len(scale.training_cells)
    with tqdm(total=steps - len(scale.left_out), disable=None, leave=False) as bar:
        machine = describe_machine()
        hugging_face = open_eager(subject.bench.checkpoint, threads)
        entrants = Field(subject, threads, hugging_face(agreement_batch(subject.vocabulary)))
        for name, contender in CONTENDERS.items():
            advance(bar, f"preparing {name}")
            if name in scale.left_out:
                entrants.missing[name] = "left out of this run"
            else:
                entrants.enter(contender)
        if "bf16" not in step_precisions():
            entrants.missing["training step in bf16"] = "this processor emulates it: a step would take minutes"
        cells = {}
        for cell in scale.cells:
            advance(bar, f"batch x tokens {cell}")
            cells[cell] = entrants.race(cell, scale.plan, clock)
        training = race_steps(
            scale.training_shape, scale.training_cells, scale.precisions,
            threads=threads, plan=scale.training_plan, clock=clock, bar=bar,
        )  # fmt: skip
        for name in list(entrants.entries) if scale.with_footprints else []:
            advance(bar, f"cost of {name}")
            entrants.weigh(name)
        advance(bar, "files of DeBERTa-v3-base")
        files = base_files(subject.bench.made) if scale.with_base_files else {}
    return Results(
        title=subject.title, threads=threads, clock=CLOCK_NAMES[clock], machine=machine, entries=entrants.entries,
        missing=entrants.missing, cells=cells, training_title=scale.training_shape.title, steps=training,
        base_files=files,
    )  # fmt: skip


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    command = parser("benchmarks.report", f"{__doc__}\nClose other programs first.")
    command.add_argument(
        "--quick", action="store_true", help="three cells and one of training, few rounds, no compiler: a few minutes"
    )
    command.add_argument(
        "--cpu-time", action="store_true",
        help="count CPU seconds in place of the wall clock: for a look on a machine that is not quiet, with one thread",
    )  # fmt: skip
    source = command.add_mutually_exclusive_group()
    source.add_argument("--bundle", type=Path, help="measure this bundle's model and its own exports")
    source.add_argument(
        "--shape", choices=sorted(SHAPES), default="deberta-v3-small",
        help="measure random weights in this shape (default %(default)s)",
    )  # fmt: skip
    names = list(CONTENDERS)
    command.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"contenders, of: {', '.join(names)}")
    add_values(
        command,
        ("--threads", positive, 1, "threads of every contender"),
        ("--output", Path, None, "folder to write (default benchmarks/reports/<date>)"),
    )
    return command.parse_args(arguments)


def main(arguments: Sequence[str] | None = None, scale: Scale | None = None) -> int:
    """Run the command; `scale` replaces the grid for tests."""
    options = parse_arguments(arguments)
    limit_threads(options.threads)
    scale = scale or (quick_scale() if options.quick else Scale())
    if options.only:
        scale = replace(scale, left_out=[name for name in CONTENDERS if name not in options.only])
    clock = time.process_time if options.cpu_time else time.perf_counter
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        made, shape = Path(folder), SHAPES[options.shape]
        subject = bundle_subject(options.bundle, made) if options.bundle else random_subject(shape, made)
        results = measure(subject, options.threads, scale, clock)
    target = options.output or REPORTS / (datetime.date.today().isoformat() + ("-quick" if options.quick else ""))
    publish(target, "report", as_json(results), render_report(results), lambda: report_figure(results))
    return 0


if __name__ == "__main__":
    run_command(main)
