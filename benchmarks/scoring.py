"""What evaluating many rows costs: processor time and peak memory of metrics, intervals, report and file of the rows.

The logits are given (drawn at random for the 28 labels), so that no model is timed.

    python -m benchmarks.scoring --rows 1000000

With a bundle, what predicting a table costs: by one process with batches of 4,096 tokens, as before there was
`serving.bulk`, and by its processes; in turns, with seconds, processor seconds and the memory of all processes.

    python -m benchmarks.scoring --rows 20000 --bundle runs/latest/bundle
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks.client import read_texts
from benchmarks.machine import describe_machine
from shared.calibration import Calibration, sigmoid
from shared.labels import GOEMOTIONS
from shared.thresholds import Policies

WORDS = ("happy", "sad", "not", "angry", "the", "dog", "ran", "home", "again", "today")


def main() -> None:
    """Print a line for each step, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--bundle", help="predict a table with it")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.bundle:
        found = predicting(options.bundle, options.rows, options.rounds)
        print(json.dumps({"rows": options.rows, "predicting": found, "machine": describe_machine()}))
        return
    rows = options.rows
    print(json.dumps({"rows": rows, "steps": measure(rows), "machine": describe_machine()}))


def measure(rows: int) -> list[dict[str, float | str]]:
    """Seconds of processor time and peak memory in MB after each step.

    Args:
        rows: how many are scored.
    """
    from training.data.column import Column
    from training.data.corpus import Corpus
    from training.evaluation.levels import levels_of
    from training.evaluation.report import render_report
    from training.evaluation.rows_file import write_rows
    from training.evaluation.scoring import SplitPredictions, score
    from training.evaluation.sections import Scored
    from training.evaluation.slices import TokenCounts

    random = np.random.default_rng(0)
    shape = (rows, len(GOEMOTIONS))
    logits = (random.normal(-4, 1, shape[1]) + random.normal(0, 1.5, shape)).astype(np.float32)
    truth, known = random.random(shape) < sigmoid(logits), np.ones(shape, dtype=np.bool_)
    texts = [" ".join(WORDS[place] for place in row) for row in random.integers(0, len(WORDS), (rows, 8))]
    names = [str(row) for row in range(rows)]
    corpus = Corpus(
        Column.of(texts), truth.astype(np.float32), known, Column.of(names), Column.repeated("table", rows),
        np.ones(rows, dtype=np.float32),
    )  # fmt: skip
    split = SplitPredictions("all", truth, known, logits)
    calibration = Calibration("temperature", np.full(shape[1], 1.1))
    policies = Policies(GOEMOTIONS, {"f1": np.full(shape[1], 0.3), "half": np.full(shape[1], 0.5)}, "dev")
    steps: list[dict[str, float | str]] = [{"step": "inputs", "cpu_s": 0.0, "peak_mb": _peak_mb()}]
    start = time.process_time()

    def done(step: str) -> None:
        nonlocal start
        steps.append({"step": step, "cpu_s": round(time.process_time() - start, 1), "peak_mb": _peak_mb()})
        print(steps[-1], flush=True)
        start = time.process_time()

    metrics = score(split, calibration, policies, samples=1000)
    done("metrics and intervals")
    lengths = random.integers(4, 60, rows).astype(float)
    tokens = TokenCounts(lengths, np.zeros(rows, dtype=np.bool_), np.zeros(rows))
    item = Scored.of(split, metrics, calibration, policies, corpus=corpus, tokens=tokens)
    metrics["levels"] = levels_of(item.rows, item.thresholds, GOEMOTIONS, samples=1000)
    done("Ekman's groups and sentiments")
    page = render_report("rows", "", [item])
    done(f"report of {len(page) / 1e6:.2f} MB")
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "rows.csv", [item], texts=True)
    done("file of the rows")
    return steps


BEFORE = """import sys
from serving import predict, predictor
predictor.CPU_BATCH_TOKENS, predictor.CPU_BATCH_PADDING = 4096, float("inf")
predict.main(sys.argv[1:])"""


def predicting(bundle: str, rows: int, rounds: int) -> list[dict[str, float | str]]:
    """Medians over rounds: seconds, processor seconds, texts/s and MB (resident, all processes) of both ways.

    Args:
        bundle: its folder.
        rows: short texts of real sentences.
        rounds: how often each way is taken, in turns.
    """
    texts = read_texts(None)
    with tempfile.TemporaryDirectory() as folder:
        table, output = Path(folder) / "in.csv", Path(folder) / "out.csv"
        with table.open("w", newline="") as stream:
            csv.writer(stream).writerows([["text"], *([texts[row % len(texts)]] for row in range(rows))])
        ways = {
            "before": ["-c", BEFORE, bundle, "--input", str(table), "--output", "-"],
            "after": ["-m", "serving.predict", bundle, "--input", str(table), "--output", str(output)],
        }
        runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, arguments in ways.items():
                runs[name].append(_cost([sys.executable, *arguments]))
    found: list[dict[str, float | str]] = []
    for name, costs in runs.items():
        wall, cpu, memory = (round(float(value), 1) for value in np.median(costs, axis=0))
        found.append({"way": name, "s": wall, "cpu_s": cpu, "texts_s": round(rows / wall), "peak_mb": memory})
        print(found[-1], flush=True)
    return found


def _cost(command: list[str]) -> tuple[float, float, float]:
    """Seconds, processor seconds, and the most memory that a command and its processes have at once, in MB."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile() as said:
        process, most = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=said), 0
        while process.poll() is None:
            with contextlib.suppress(psutil.Error):
                most = max(most, sum(one.memory_info().rss for one in (process, *process.children(recursive=True))))
            time.sleep(0.1)
        said.seek(0)
        if process.returncode:
            raise RuntimeError(said.read().decode())
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, most / 1e6


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
