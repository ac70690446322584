"""Search for the values of some keys (Optuna: TPE, early stopping of poor runs) with the best macro F1 on dev."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

from shared.cli import run_command
from shared.errors import ConfigError
from training.config.experiments import SearchOptions
from training.config.parser import parse_options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trials that are still to be made and print the table.

    Raises:
        ConfigError: when Optuna is not installed.
    """
    options, _ = parse_options(
        SearchOptions,
        sys.argv[1:] if argv is None else argv,
        prog="python -m training.search",
        description=str(__doc__),
    )
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("a search needs Optuna.", hint="Install it with: pip install 'emotion-classifiers[search]'")
    from training.experiments.search import run_search  # loads torch, and Optuna, which only a search needs

    print(run_search(options), end="")
    return 0


if __name__ == "__main__":
    run_command(main)
