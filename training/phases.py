"""Compare losses in four phases: all on a subset, analysis, the best two for longer on more rows, choice on dev."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from shared.cli import run_command
from training.config.experiments import PhasesOptions
from training.config.parser import parse_options


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is not finished yet and print the table."""
    options, _ = parse_options(
        PhasesOptions,
        sys.argv[1:] if argv is None else argv,
        prog="python -m training.phases",
        description=str(__doc__),
    )
    from training.experiments.phases import run_phases  # loads torch, which --help need not wait for

    print(run_phases(options), end="")
    return 0


if __name__ == "__main__":
    run_command(main)
