"""Train teachers, then a student that learns from their answers, and the same student alone to compare with."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from shared.cli import run_command
from training.config.experiments import DistillOptions
from training.config.parser import parse_options

EXAMPLES = (
    "--config goemotions_student --data.path DIR",
    "--config goemotions_starter --data.path DIR --teachers.seeds '[1, 2, 3]' --teachers.student_seeds '[1, 2, 3]'",
    '--data.path DIR --teachers.seeds "[]" --distill.teachers "[runs/large/bundle]"',
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the steps that are not finished yet and print the table."""
    options, _ = parse_options(
        DistillOptions,
        sys.argv[1:] if argv is None else argv,
        prog="python -m training.distill",
        description=str(__doc__),
        examples=EXAMPLES,
    )
    from training.experiments.distill import distill  # loads torch, which --help need not wait for

    print(distill(options), end="")
    return 0


if __name__ == "__main__":
    run_command(main)
