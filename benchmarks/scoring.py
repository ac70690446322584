"""What evaluating many rows costs: processor time and peak memory of metrics, intervals, report and file of the rows.

The logits are given (drawn at random for the 28 labels), so that no model is timed.

    python -m benchmarks.scoring --rows 1000000
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine
from shared.calibration import Calibration, sigmoid
from shared.labels import GOEMOTIONS
from shared.thresholds import Policies

WORDS = ("happy", "sad", "not", "angry", "the", "dog", "ran", "home", "again", "today")


def main() -> None:
    """Print a line for each step, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    print(json.dumps({"rows": rows, "steps": measure(rows), "machine": describe_machine()}))


def measure(rows: int) -> list[dict[str, float | str]]:
    """Seconds of processor time and peak memory in MB after each step.

    Args:
        rows: how many are scored.
    """
    from training.data.corpus import Corpus
    from training.evaluation.levels import levels_of
    from training.evaluation.report import render_report
    from training.evaluation.rows_file import write_rows
    from training.evaluation.scoring import SplitPredictions, score
    from training.evaluation.sections import Scored

    random = np.random.default_rng(0)
    shape = (rows, len(GOEMOTIONS))
    logits = (random.normal(-4, 1, shape[1]) + random.normal(0, 1.5, shape)).astype(np.float32)
    truth, known = random.random(shape) < sigmoid(logits), np.ones(shape, dtype=np.bool_)
    texts = [" ".join(WORDS[place] for place in row) for row in random.integers(0, len(WORDS), (rows, 8))]
    names = [str(row) for row in range(rows)]
    corpus = Corpus(texts, truth.astype(np.float32), known, names, ["table"] * rows, np.ones(rows, dtype=np.float32))
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
    lengths, truncated = random.integers(4, 60, rows).astype(float), np.zeros(rows, dtype=np.bool_)
    item = Scored.of(split, metrics, calibration, policies, corpus=corpus, lengths=lengths, truncated=truncated)
    metrics["levels"] = levels_of(item.rows, item.thresholds, GOEMOTIONS, samples=1000)
    done("Ekman's groups and sentiments")
    page = render_report("rows", "", [item])
    done(f"report of {len(page) / 1e6:.2f} MB")
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "rows.csv", [item], texts=True)
    done("file of the rows")
    return steps


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
