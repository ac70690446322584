"""`emotion bench gpu`: the benchmarks of a checkout, which no wheel carries."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence

from shared.cli import CommandParser
from shared.errors import ConfigError

BENCHMARKS = {"gpu": "benchmarks.gpu.__main__"}
"""Name -> the module whose `main` measures it."""


def main(argv: Sequence[str]) -> int:
    """Run the benchmark that stands first in `argv`.

    Raises:
        ConfigError: for an unknown one, or outside of a checkout.
    """
    parser = CommandParser(
        prog="emotion_classifiers.bench", description=__doc__, epilog="emotion bench gpu --help lists its options."
    )
    parser.add_argument("benchmark", choices=BENCHMARKS, help="what is measured")
    chosen = parser.parse_args(argv[:1]).benchmark
    if not _has_benchmarks():
        raise ConfigError(
            "benchmarks are not part of the installed package.",
            hint=f"Run python -m benchmarks.{chosen} at the top of a checkout of this version.",
        )
    return int(importlib.import_module(BENCHMARKS[chosen]).main(argv[1:]) or 0)


def _has_benchmarks() -> bool:
    try:
        return importlib.util.find_spec("benchmarks.gpu") is not None
    except ModuleNotFoundError:
        return False
