"""What a contender costs beside time: seconds to load and memory, measured in a process of its own."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.contenders.lineup import by_name
from benchmarks.contenders.model import random_batch


@dataclass(frozen=True)
class Footprint:
    """One contender alone in a process.

    Attributes:
        import_s: importing its library.
        load_s: from the file to its first logits after that.
        idle_mib: resident memory after that first small batch.
        peak_mib: largest resident memory up to the end of the large batch.
    """

    import_s: float
    load_s: float
    idle_mib: float
    peak_mib: float


def measure_footprint(
    name: str, file: Path, *, threads: int, vocabulary: int, batch: int, length: int, timeout_s: float = 300.0
) -> Footprint | None:
    """Start a fresh interpreter for one contender; None when it does not come through.

    Args:
        name: of the contender.
        file: what its `prepare` gave.
        threads: it may use.
        vocabulary: ids are drawn below it.
        batch: N of the large batch.
        length: T of the large batch.
        timeout_s: after which it counts as not come through.
    """
    command = [sys.executable, "-m", __spec__.name, name, str(file), *map(str, (threads, vocabulary, batch, length))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=True, env=environment,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
    except (subprocess.SubprocessError, OSError):
        return None
    return Footprint(**json.loads(done.stdout.splitlines()[-1]))


def load_and_run(name: str, file: Path, *, threads: int, vocabulary: int, batch: int, length: int) -> Footprint:
    """Measure in this process, which should have done nothing before."""
    contender = by_name(name)
    start = time.perf_counter()
    importlib.import_module(contender.library)
    imported = time.perf_counter()
    run = contender.open(file, threads)
    run(random_batch(1, 8, vocabulary))
    loaded = time.perf_counter()
    idle = _status_mib("VmRSS")
    for _ in range(2):
        run(random_batch(batch, length, vocabulary))
    return Footprint(
        import_s=round(imported - start, 3),
        load_s=round(loaded - imported, 3),
        idle_mib=round(idle, 1),
        peak_mib=round(_status_mib("VmHWM"), 1),
    )


def _status_mib(field: str) -> float:
    """Resident memory now (VmRSS) or at most (VmHWM).

    Not getrusage where the kernel tells: its maximum contains that of the process this one was forked from.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def _main() -> None:
    parser = argparse.ArgumentParser(description="Measure one contender alone; benchmarks.report calls this.")
    parser.add_argument("name")
    parser.add_argument("file", type=Path)
    for number in ("threads", "vocabulary", "batch", "length"):
        parser.add_argument(number, type=int)
    print(json.dumps(asdict(load_and_run(**vars(parser.parse_args())))))


if __name__ == "__main__":
    _main()
