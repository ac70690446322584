"""Measure one CUDA card: gradients against Hugging Face's, training steps, inference, and a run to a served bundle.

    python -m benchmarks.gpu --minutes 6        or: emotion bench gpu --minutes 6

No network is needed. What is missing is said before anything is measured; results are written after each cell.
"""

from __future__ import annotations

import datetime
import importlib.util
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.contenders.models import STARTER, TINY, V3_BASE, ModelShape
from benchmarks.gpu.ahead import Cell
from shared.cli import CommandParser, positive, run_command
from shared.environment import package_versions, source_revision
from shared.errors import ConfigError

V3_LARGE = ModelShape("deberta-v3-large", 24, 1024, 16, 4096, vocabulary=128_100)
NEEDED = (
    "torch", "transformers", "accelerate", "peft", "datasets", "sklearn", "iterstrat", "jsonargparse", "emoji", "onnx",
    "onnxruntime",
)  # fmt: skip
PACKAGES = ("torch", "triton", "transformers", "accelerate", "peft", "onnx", "onnxruntime-gpu", "onnxruntime",
            "disentangled-flash", "flashdeberta")  # fmt: skip
TRAINING = ((V3_BASE, 16, 256), (V3_BASE, 32, 32), (V3_LARGE, 16, 256), (STARTER, 32, 24), (V3_BASE, 8, 512))
INFERENCE = ((1, 32), (32, 32), (32, 128), (8, 512))
SHARES = {
    "compiling": 0.15, "parity": 0.35, "training": 0.45, "many steps": 0.5, "inference": 0.65, "run": 0.7,
    "others": 0.9,
}  # fmt: skip
"""Part -> the share of the time after which nothing more of it is begun; "others": further contenders of training."""


class Bench:
    """What was measured so far, and how much time has gone."""

    def __init__(self, options: Any, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.started = time.monotonic()
        self.results: dict[str, Any] = {
            "versions": package_versions(PACKAGES), "revision": source_revision(), "rehearsal": options.rehearse,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "skipped": [],
        }  # fmt: skip

    def take(self, part: str, name: str, call: Callable[[], Any], *, share: str | None = None) -> None:
        """Measure one thing, unless the time of its part (or `share`) is over; what fails is a result, too."""
        if time.monotonic() - self.started > SHARES[share or part] * self.options.minutes * 60:
            self.skip(f"{part}: {name} (no time left)")
            return
        try:
            found = call()
        except Exception as error:  # peers, compilers and cards fail in their own ways, and the rest is still wanted
            found = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
            with (self.folder / "errors.txt").open("a", encoding="utf-8") as file:
                file.write(f"{part}: {name}\n{traceback.format_exc()}\n")
        self.results.setdefault(part, {})[name] = found
        self._say(f"{part}: {name}: {json.dumps(found)}")
        (self.folder / "gpu.json").write_text(json.dumps(self.results, indent=1) + "\n", encoding="utf-8")
        (self.folder / "gpu.md").write_text(page(self.results), encoding="utf-8")

    def skip(self, what: str) -> None:
        """Note what is left out."""
        self.results["skipped"].append(what)
        self._say(f"left out: {what}")

    def _say(self, line: str) -> None:
        sys.stdout.write(f"[{time.monotonic() - self.started:5.0f} s] {line}\n")
        sys.stdout.flush()


def options_of(arguments: Sequence[str] | None) -> Any:
    """The options of a command line."""
    parser = CommandParser(prog="benchmarks.gpu", description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=positive, default=6, help="for all together (default: 6)")
    parser.add_argument("--model", help="encoder of the real run, a folder or name (default: random weights)")
    parser.add_argument("--steps", type=positive, default=300, help="optimiser steps of the real run (default: 300)")
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME", help="contenders to leave out")
    parser.add_argument("--output", type=Path, help="folder to write (default: benchmarks/reports/gpu-<date>)")
    parser.add_argument("--rehearse", action="store_true", help="a tiny model, on a CPU too: times mean nothing")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write gpu.json and gpu.md.

    Raises:
        ConfigError: when there is no card, or a package is missing.
    """
    options = options_of(arguments)
    absent = _missing(NEEDED)
    if absent:
        raise ConfigError(f"these packages are missing: {', '.join(absent)}.", hint="Bring their wheels along.")
    from shared.modeling.device import has_cuda

    if not options.rehearse and not has_cuda():
        raise ConfigError("torch finds no CUDA card here.", hint="Add --rehearse to try the command on a CPU.")
    today = datetime.datetime.now(datetime.UTC).date()
    folder = options.output or Path(__file__).parents[1] / "reports" / f"gpu-{today}"
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(options, folder)
    measure(bench)
    sys.stdout.write(f"{page(bench.results)}\nwritten to {folder}\n")
    return 0


def _missing(names: Sequence[str]) -> list[str]:
    return [name for name in names if importlib.util.find_spec(name) is None]


def measure(bench: Bench) -> None:
    """All parts, in the order of what is wanted most."""
    import torch

    from benchmarks.gpu import inference, steps
    from benchmarks.gpu.ahead import compile_ahead
    from shared.modeling.device import has_cuda

    options, tiny = bench.options, bench.options.rehearse
    bench.results["card"] = torch.cuda.get_device_name() if has_cuda() else "none"
    gone = [name for name, module in steps.PEERS.items() if _missing([module])]
    for name in gone:
        bench.skip(f"{name} (not installed)")
    contenders = [name for name in steps.CONTENDERS if name not in (*gone, *options.without)]
    base, starter = (TINY, TINY) if tiny else (V3_BASE, STARTER)
    shrink = 8 if tiny else 1
    lengths = (7, 24, 64, 200, 512)[: 3 if tiny else None]
    cells = {
        f"{shape.name} {rows} x {length}": (TINY if tiny else shape, max(2, rows // shrink), max(4, length // shrink))
        for shape, rows, length in TRAINING
    }
    best = next((name for name in (steps.BOTH, steps.GRAPHS) if name in contenders), steps.OURS)
    if best == steps.BOTH:
        seconds = SHARES["compiling"] * options.minutes * 60
        bench.take("compiling", "seconds of the first steps", partial(compile_ahead, cells, seconds))
    bench.take("parity", "gradients", partial(steps.parity, starter, lengths))
    _training(bench, cells, (steps.HF, best), "training")
    sizes = [(rows, length) for shape, rows, length in cells.values() if shape is base]
    bench.take("many steps", best, partial(steps.many_steps, base, best, sizes, 12 if tiny else 500))
    steps.free()
    with tempfile.TemporaryDirectory() as made:
        subject: list[inference.Inference] = []
        bench.take("inference", "exports", lambda: subject.append(inference.Inference(base, Path(made))))
        for rows, length in INFERENCE if subject else ():
            size = (max(1, rows // shrink), length // shrink)
            bench.take("inference", f"{rows} x {length}", partial(subject[0].measure, *size))
        subject.clear()
        steps.free()
        run = (starter, Path(made), options.model, 4 if tiny else options.steps)
        bench.take("run", options.model or "random weights", partial(inference.real_run, *run))
    _training(bench, cells, [name for name in contenders if name not in (steps.HF, best)], "others")


def _training(bench: Bench, cells: Mapping[str, Cell], names: Sequence[str], share: str) -> None:
    from benchmarks.gpu import steps

    for where, (shape, rows, length) in cells.items():
        for name in names:
            call = partial(steps.measure_step, shape, name, rows, length)
            bench.take("training", f"{where}: {name}", call, share=share)
            steps.free()


def page(results: dict[str, Any]) -> str:
    """The tables as Markdown."""
    kind = "A REHEARSAL: times mean nothing." if results["rehearsal"] else "Medians; fp16 autocast; random weights."
    lines = [f"# One card: {results.get('card')}", kind, f"{results['date']}, {results['revision']}", ""]
    lines += ["| training step | ms | GiB | first s | HF eager / this |", "|---|---|---|---|---|"]
    training = results.get("training", {})
    order = list(dict.fromkeys(name.rpartition(": ")[0] for name in training))
    for name, found in sorted(training.items(), key=lambda entry: order.index(entry[0].rpartition(": ")[0])):
        stock = training.get(f"{name.rpartition(': ')[0]}: HF eager", {})
        ratio = f"{stock['ms'] / found['ms']:.2f}" if "ms" in stock and "ms" in found else ""
        told = found.get("ms", found.get("failed"))
        lines.append(f"| {name} | {told} | {found.get('gib')} | {found.get('first_s')} | {ratio} |")
    lines += ["", "| inference | ms | largest difference | HF half / this |", "|---|---|---|---|"]
    cells = {name: cell for name, cell in results.get("inference", {}).items() if cell and "failed" not in cell}
    for batch, cell in cells.items():
        for name, found in cell.items():
            ratio = f"{cell['HF eager half']['ms'] / found['ms']:.2f}" if "ms" in found else found["failed"]
            lines.append(f"| {batch}: {name} | {found.get('ms')} | {found.get('difference')} | {ratio} |")
    rest = {part: results.get(part) for part in ("compiling", "parity", "many steps", "run", "skipped", "versions")}
    return "\n".join([*lines, "", "```json", json.dumps(rest, indent=1), "```"]) + "\n"


if __name__ == "__main__":
    run_command(main)
