"""Stratified k-fold cross-validation: one run a fold, mean, spread and interval of every metric."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from shared.cli import run_command
from training.config.experiments import KFoldOptions
from training.config.parser import parse_options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the folds that are not finished yet and print the table."""
    options, _ = parse_options(
        KFoldOptions, sys.argv[1:] if argv is None else argv, prog="python -m training.kfold", description=str(__doc__)
    )
    from training.experiments.repeats import run_folds  # loads torch, which --help need not wait for

    print(run_folds(options), end="")
    return 0


if __name__ == "__main__":
    run_command(main)
