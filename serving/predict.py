"""Predict offline: `python -m serving.predict BUNDLE --text "..."`, or `--input F --output F` for a whole file."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serving.predictor import Predictor
from serving.tables import PREDICTED, check_suffix, read_table, write_table
from shared.cli import CommandParser, is_terminal, positive, run_command
from shared.errors import ConfigError
from shared.text import normalise
from shared.thresholds import decide

CHUNK_ROWS = 1024
"""Rows between two updates of the progress line."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict what the command line asks for."""
    options = _parse(arguments)
    predictor = Predictor.load(
        options.bundle, precision=options.precision, provider=options.provider, threads=options.threads
    )
    thresholds = predictor.policies.get(options.policy)
    if options.text:
        _show(predictor, options.text, thresholds, as_json=options.json)
    else:
        _predict_file(predictor, options, thresholds)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = CommandParser(prog="serving.predict", description=__doc__)
    parser.add_argument("bundle", type=Path, help="the bundle's folder")
    parser.add_argument("--text", action="append", help="a text; may be repeated")
    parser.add_argument("--input", type=Path, help="a .jsonl, .csv or .parquet file with a column of texts")
    parser.add_argument(
        "--output", type=Path, help="where to write the rows with their predictions, same three formats"
    )
    parser.add_argument("--text_column", default="text", help="column of the texts (default: text)")
    parser.add_argument("--policy", help="decision policy (default: the bundle's)")
    parser.add_argument("--precision", help="fp32, int8 or fp16 (default: the best verified one)")
    parser.add_argument("--provider", help="cpu or cuda (default: the best one here)")
    parser.add_argument("--threads", type=positive, help="CPU threads (default: what the CPU quota allows)")
    parser.add_argument("--json", action="store_true", help="print one JSON object per --text")
    options = parser.parse_args(arguments)
    if bool(options.text) == bool(options.input):
        raise ConfigError("give either --text or --input, not both and not neither.")
    if options.input:
        if options.output is None:
            raise ConfigError("--input needs --output.")
        check_suffix(options.input)
        check_suffix(options.output)
    return options


def _show(predictor: Predictor, texts: Sequence[str], thresholds: NDArray[np.float64], *, as_json: bool) -> None:
    probabilities = predictor.probabilities(predictor.logits(texts))
    for text, row, decided in zip(texts, probabilities, decide(probabilities, thresholds), strict=True):
        ranked = [(predictor.labels[i], float(row[i]), bool(decided[i])) for i in np.argsort(-row, kind="stable")]
        if as_json:
            content: dict[str, Any] = {
                "text": text,
                "labels": [name for name, _, chosen in ranked if chosen],
                "probabilities": {name: p for name, p, _ in ranked},
            }
            sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")
        else:
            sys.stdout.write(_described(text, ranked))


def _described(text: str, ranked: Sequence[tuple[str, float, bool]], shown: int = 3) -> str:
    """A text and its labels for a person: those decided, marked by a star, and at least the `shown` likeliest."""
    lines = [line for place, line in enumerate(ranked) if line[2] or place < shown]
    marked = (f"  {'*' if chosen else ' '} {name:<16} {p:.3f}" for name, p, chosen in lines)
    return "\n".join((normalise(text), *marked)) + "\n"


def _predict_file(predictor: Predictor, options: argparse.Namespace, thresholds: NDArray[np.float64]) -> None:
    table = read_table(options.input, options.text_column)
    texts = ["" if pd.isna(value) else str(value) for value in table[options.text_column]]
    usable = [row for row, text in enumerate(texts) if normalise(text)]
    probabilities = np.full((len(texts), len(predictor.labels)), np.nan)
    for start in range(0, len(usable), CHUNK_ROWS):
        rows = usable[start : start + CHUNK_ROWS]
        probabilities[rows] = predictor.probabilities(predictor.logits([texts[row] for row in rows]))
        if is_terminal():
            sys.stderr.write(f"\r{min(start + CHUNK_ROWS, len(usable))}/{len(usable)} rows")
    table[PREDICTED] = predictor.bundle.label_set.names_of(decide(probabilities, thresholds))
    columns = pd.DataFrame(probabilities, table.index, [f"p_{name}" for name in predictor.labels])
    write_table(table.drop(columns=columns.columns, errors="ignore").join(columns), options.output)
    skipped = len(texts) - len(usable)
    note = f" ({skipped} empty texts have no prediction)" if skipped else ""
    sys.stderr.write(
        f"\n{len(texts)} rows written to {options.output}{note}; {predictor.precision}, {predictor.provider}\n"
    )


if __name__ == "__main__":
    run_command(main)
