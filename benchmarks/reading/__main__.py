"""Print how many of the checks a verified bundle answers rightly: `python -m benchmarks.reading BUNDLE [--wrong]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import emotion_classifiers as ec
from benchmarks.reading.checks import Reader, all_outcomes
from shared.bundle import Bundle, default_bundle_path
from shared.cli import run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """One line a check, the wrong ones below it when asked; last line: one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.reading", description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=default_bundle_path())
    parser.add_argument("--precision", help="fp32, int8 or fp16; what would be served if unset")
    parser.add_argument("--wrong", action="store_true", help="show the texts that were answered wrongly")
    options = parser.parse_args(arguments)
    model = ec.load(options.bundle, precision=options.precision)
    bundle = Bundle.read(options.bundle, check_files=False)
    outcomes = all_outcomes(Reader(model.predict_proba, bundle.policies.get(), bundle.label_set))
    for name, outcome in outcomes.items():
        sys.stdout.write(f"{name:<50} {outcome.right:>4} of {outcome.total}\n")
        sys.stdout.writelines(f"    {text}\n" for text in outcome.wrong if options.wrong)
    counts = {name: [outcome.right, outcome.total] for name, outcome in outcomes.items()}
    sys.stdout.write(json.dumps({"precision": model.precision, **counts}) + "\n")


if __name__ == "__main__":
    run_command(main)
