"""Evaluate a bundle on any data; the last line on stdout is one JSON object with the metrics."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.cli import run_command
from training.config.evaluate import EvaluateOptions
from training.config.parser import parse_options


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate and print one line of JSON."""
    options, (bundle,) = parse_options(
        EvaluateOptions,
        sys.argv[1:] if argv is None else argv,
        prog="python -m training.evaluate",
        description=str(__doc__),
        positionals={"bundle": "Folder of the bundle."},
    )
    from training.evaluation.evaluate_bundle import evaluate_bundle  # loads torch, which --help need not wait for

    result = evaluate_bundle(Path(bundle), options)
    for note in result["notes"]:
        print(f"note: {note}", file=sys.stderr)
    print(json.dumps(result, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    run_command(main)
