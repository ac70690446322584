"""Texts whose intensities follow from their words, in the formats of the shared tasks; the sentences are ours."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

LABELS = ("anger", "fear", "joy", "sadness")
WORDS = {
    "anger": ("angry", "hate"), "fear": ("afraid", "scared"), "joy": ("happy", "wonderful"), "sadness": ("sad", "lost"),
}  # fmt: skip
FILLERS = ("i", "you", "we", "they", "today", "and", "my", "work", "home", "because", "the", "train", "bus", "week")


def phrase(label: str, level: int) -> list[str]:
    """Words for a level from 0 (none) to 3 (both words, one of them strengthened)."""
    first, second = WORDS[label]
    return [[], [first], ["very", first], ["so", "very", first, second]][level]


def graded_rows(count: int, seed: int) -> list[tuple[str, dict[str, int]]]:
    """Distinct texts with the level 0..3 of two of the four labels each; the others are 0."""
    random, rows = np.random.default_rng(seed), {}
    while len(rows) < count:
        chosen = random.choice(len(LABELS), size=2, replace=False)
        levels = {LABELS[place]: int(random.integers(0, 4)) for place in chosen}
        parts = [list(random.choice(FILLERS, size=random.integers(2, 5))) for _ in levels]
        words = [
            w for part, (name, level) in zip(parts, levels.items(), strict=True) for w in (*part, *phrase(name, level))
        ]
        rows[" ".join(words)] = {name: levels.get(name, 0) for name in LABELS}
    return list(rows.items())


def write_brighter(folder: Path, *, counts: tuple[int, int, int] = (240, 80, 80), language: str = "eng") -> Path:
    """`track_b/{train,dev,test}/<language>.csv` with 0..3 in each column."""
    for split, count, seed in zip(("train", "dev", "test"), counts, (1, 2, 3), strict=True):
        path = folder / "track_b" / split / f"{language}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["id", "text", *LABELS])
            for number, (text, levels) in enumerate(graded_rows(count, seed)):
                writer.writerow([f"{language}_{split}_track_b_{number:05}", text, *(levels[name] for name in LABELS)])
    return folder


def write_emoint(folder: Path, *, counts: tuple[int, int, int] = (160, 60, 60)) -> Path:
    """`<emotion>-ratings-0to1.{train,dev.gold,dev.target,test.gold}.txt`, one file an emotion, no header."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, label in enumerate(LABELS):
        for split, count in zip(("train", "dev", "test"), counts, strict=True):
            rows = graded_rows(count, 10 * seed + len(split))
            random = np.random.default_rng(seed)
            lines, hidden = [], []
            for number, (text, levels) in enumerate(rows):
                value = min(1.0, max(0.0, levels[label] / 3 + random.normal(0, 0.03)))
                lines.append(f"{number + 10000}\t{text}\t{label}\t{value:.3f}\n")
                hidden.append(f"{number + 10000}\t{text}\t{label}\tNONE\n")
            name = f"{label}-ratings-0to1.{split}"
            if split == "train":
                (folder / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
            else:
                (folder / f"{name}.gold.txt").write_text("".join(lines), encoding="utf-8")
                (folder / f"{name}.target.txt").write_text("".join(hidden), encoding="utf-8")
    return folder


def arguments(tiny_model: Path, tmp_path: Path, **options: object) -> list[str]:
    """Command-line options of a run of seconds."""
    given = {
        "data.task": "intensity", "model.name": tiny_model, "data.max_length": 24, "data.cache_dir": "none",
        "run.output_dir": tmp_path / "runs", "run.threads": 1, "optim.epochs": 6, "optim.lr": 1e-2,
        "optim.batch_size": 24, "optim.precision": "fp32", "eval.bootstrap_samples": 20, "data.source": "brighter",
        **{name.replace("__", "."): value for name, value in options.items()},
    }  # fmt: skip
    return [f"--{key}={value}" for key, value in given.items()]
