"""`emotion drift BUNDLE LOG`: served predictions against the bundle's reference rows; needs no torch."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from training.config.evaluate import DriftOptions
from training.config.parser import parse_options

DESCRIPTION = """What moved between the bundle's reference rows and a table of predictions, and since which month.

The table has a column p_LABEL for every label, as `emotion predict` and `emotion evaluate` write it. The last line on
stdout is one JSON object."""


def main(argv: Sequence[str]) -> int:
    """Evaluate the table that the command line names, and print one line of JSON."""
    options, (bundle, log) = parse_options(
        DriftOptions, argv, prog="emotion drift", description=DESCRIPTION,
        positionals={"bundle": "Folder of the bundle, or hf://owner/name.", "log": "Table of predictions."},
        examples=["runs/latest/bundle predictions.parquet --date_column created"],
    )  # fmt: skip
    from emotion_classifiers.hub import local_folder  # noqa: PLC0415  (the help needs none of these)
    from training.evaluation.drift import evaluate_drift  # noqa: PLC0415

    result = evaluate_drift(local_folder(bundle), Path(log), options)
    for note in result["notes"]:
        sys.stderr.write(f"note: {note}\n")
    for name, row in result["indices"].items():
        sys.stderr.write(f"{name}: {row['verdict'] or 'too few rows'} (index {row['index']:.3f})\n")
    for name, change in (result["over_time"] or {"changes": {}})["changes"].items():
        if change:
            sys.stderr.write(f"{name}: different since {change['since']}\n")
    sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
    return 0
