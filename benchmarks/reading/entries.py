"""How much reading by sentence is worth: entries composed of held-out sentences, read as one text and by sentence.

`python -m benchmarks.reading.entries BUNDLE [--entries 200]`: each entry has three to six sentences of the embedded
corpus' test families, a neutral one after every second, and every label of its sentences. One JSON line at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import emotion_classifiers as ec
from shared.labels import GOEMOTIONS, LabelSet
from shared.metrics import macro_f1
from shared.segments import Segmentation
from training.config.data import SourceConfig
from training.data.sources.base import TEST
from training.data.sources.sample import read_sample

NEUTRAL = GOEMOTIONS.index("neutral")


def compose(count: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Texts of `count` entries, and their labels, shape (count, 28)."""
    corpus = read_sample(SourceConfig(kind="sample")).splits[TEST]
    truth = np.asarray(corpus.targets, dtype=bool)
    neutral = np.flatnonzero(truth[:, NEUTRAL] & (truth.sum(axis=1) == 1))
    others = np.flatnonzero(~truth[:, NEUTRAL])
    draw = np.random.default_rng(seed)
    texts, labels = [], np.zeros((count, len(GOEMOTIONS)), dtype=bool)
    for entry in range(count):
        rows = draw.choice(others, draw.integers(3, 7), replace=False).tolist()
        for place in range(2, len(rows), 3):
            rows.insert(place, int(draw.choice(neutral)))
        texts.append(" ".join(corpus.texts[row] for row in rows))
        labels[entry] = truth[rows].any(axis=0)
    return texts, labels


def compare(model: ec.Model, texts: list[str], truth: np.ndarray) -> dict[str, Any]:
    """Macro F1 over all labels, and without neutral, of entries read as one text and by sentence."""
    found: dict[str, Any] = {}
    ways: dict[str, Segmentation | None] = {"one_text": None, "by_sentence": "sentence"}
    for name, segments in ways.items():
        started = time.perf_counter()
        names = [each.labels for each in model.predict(texts, segments=segments)]
        decided = LabelSet(model.labels).multi_hot(names) > 0
        found[name] = {
            "macro_f1": round(macro_f1(truth, decided), 4),
            "without_neutral": round(macro_f1(np.delete(truth, NEUTRAL, 1), np.delete(decided, NEUTRAL, 1)), 4),
            "seconds": round(time.perf_counter() - started, 2),
        }
    return found


def main() -> None:
    """Compare both ways with a bundle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--entries", type=int, default=200)
    options = parser.parse_args()
    model = ec.load(options.bundle)
    found = compare(model, *compose(options.entries))
    for name, metrics in found.items():
        sys.stdout.write(f"{name:12} {metrics}\n")
    rule = model.predictor.bundle.aggregation.method
    about: dict[str, Any] = {
        "bundle": str(options.bundle),
        "precision": model.precision,
        "entries": options.entries,
        "aggregation": rule,
    }
    sys.stdout.write(json.dumps({**about, **found}) + "\n")


if __name__ == "__main__":
    main()
