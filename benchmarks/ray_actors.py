"""What Ray costs: texts/s of one actor and of two, and processor time a text beside that of the bare predictor.

Each way scores the same files on a cluster of this machine, in turns. A run counts from the first part of each actor to
the last of all, as actors take seconds to start; processor time is that of all processes of cluster and driver.

    python -m benchmarks.ray_actors --bundle runs/latest/bundle --rows 4096
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import tempfile
import threading
import time
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from benchmarks.client import read_texts
from benchmarks.machine import describe_machine

PART_ROWS = 256
FILES = 4


class Watched:
    """When parts were done, and the processor time of all processes, five times a second; a context."""

    def __init__(self, actors: int = 1) -> None:
        self._actors = actors
        self._done: list[tuple[float, int]] = []
        self._used: list[tuple[float, float]] = []
        self._by_process: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def note(self, moment: float, rows: int) -> None:
        """A part was done."""
        self._done.append((moment, rows))

    def rates(self) -> tuple[float, float]:
        """Texts a second, and processor milliseconds a text, since each actor was done with its first part."""
        (start, _), *later = sorted(self._done)[self._actors - 1 :]
        rows, end = sum(rows for _, rows in later), later[-1][0]
        used = np.interp([start, end], *np.array(self._used).T)
        return rows / (end - start), float(used[1] - used[0]) / rows * 1000

    def _sample(self) -> None:
        here = psutil.Process()
        while not self._ended.wait(0.2):
            for process in (here, *here.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    self._by_process[process.pid] = times.user + times.system
            self._used.append((time.time(), sum(self._by_process.values())))


def main() -> None:
    """Print a line for each run, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--texts", type=Path, help="a table of texts (default: the embedded corpus)")
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    from serving.bulk.on_ray import import_ray

    ray = import_ray()
    texts = list(islice(cycle(read_texts(options.texts)), options.rows))
    found: dict[str, list[tuple[float, float]]] = {}
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=2**29, logging_level="ERROR", log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder) / "in", texts)
        for number in range(options.rounds):
            for actors in (0, 1, 2):
                output = f"{folder}/out-{number}-{actors}"
                watched = (
                    on_ray(options.bundle, f"{folder}/in", output, actors) if actors else bare(options.bundle, texts)
                )
                name = f"{actors} actors" if actors else "predictor"
                found.setdefault(name, []).append(watched.rates())
                print(name, "{:.0f} texts/s, {:.2f} ms of processor time a text".format(*found[name][-1]), flush=True)
    ray.shutdown()
    medians = {name: [round(median(column), 2) for column in zip(*runs, strict=True)] for name, runs in found.items()}
    print(json.dumps({"rows": options.rows, "texts_s, cpu_ms": medians, "machine": describe_machine()}))


def bare(bundle: str, texts: list[str]) -> Watched:
    """The same parts by a predictor in this process, on one thread."""
    from serving.predictor import Predictor

    predictor = Predictor.load(bundle, provider="cpu", threads=1)
    with Watched() as watched:
        for start in range(0, len(texts), PART_ROWS):
            part = texts[start : start + PART_ROWS]
            predictor.probabilities(predictor.logits(part))
            watched.note(time.time(), len(part))
    return watched


def on_ray(bundle: str, place: str, output: str, actors: int) -> Watched:
    """Files scored by so many actors; a part was done when its file was written."""
    from serving.bulk import on_ray
    from serving.bulk.job import Job
    from serving.bulk.run import Run

    watched, part_done = Watched(actors), Run.part_done

    def note(run: Run, number: int, record: Any) -> None:
        (part,) = Path(run.states[number].path).glob(f"part-{record.number:06d}-*")
        watched.note(part.stat().st_mtime, record.rows)
        part_done(run, number, record)

    Run.part_done = note  # type: ignore[assignment, method-assign]
    try:
        with watched:
            job = Job(bundle, provider="cpu", part_rows=PART_ROWS)
            on_ray.score_files(job, [place], output, processes=actors)
    finally:
        Run.part_done = part_done  # type: ignore[method-assign]
    return watched


def _write(folder: Path, texts: list[str]) -> None:
    folder.mkdir()
    for number in range(FILES):
        with (folder / f"{number}.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([["text"], *([text] for text in texts[number::FILES])])


if __name__ == "__main__":
    main()
