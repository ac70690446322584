"""`python -m training.preflight`: what can be known to fail before anything expensive starts, without a run."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Sequence

from shared.cli import run_command
from training.config import Config
from training.config.parser import parse_options

log = logging.getLogger("training")

DESCRIPTION = (
    "Check environment, options, data, model and loss as a run would before it trains, and print what was seen; "
    "nothing is trained."
)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the configuration, make every check and print what was seen.

    Raises:
        EmotionError: when a check fails, or for a mistake in the configuration.
    """
    config, _ = parse_options(
        Config, sys.argv[1:] if argv is None else argv, prog="python -m training.preflight", description=DESCRIPTION
    )
    handler = logging.StreamHandler(sys.stdout)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        check_all(config)
        log.info("Ready to train.")
    finally:
        log.removeHandler(handler)
        with contextlib.suppress(OSError):  # there is a run of this name, or the folder was never made
            config.run_dir.rmdir()


def check_all(config: Config) -> None:
    """Make every check of a run.

    Raises:
        EmotionError: when one fails.
    """
    # here and not on top: torch and transformers take seconds, and neither --help nor a mistake should wait for them
    from training.checks.stages import check_data, check_learning, preflight
    from training.data.load import load_data
    from training.loop.training_rows import build_rows
    from training.model.classifier import build_tokenizer
    from training.model.tuning import build_tuned
    from training.runtime import processes
    from training.runtime.resources import choose_precision

    processes.start(config.run.threads)
    preflight(config)
    precision = choose_precision(config.optim.precision)
    log.info("precision: %s", precision)
    data, tokenizer = load_data(config.data, single_label=config.loss.single_label), build_tokenizer(config)
    check_data(data, tokenizer, config)
    model = build_tuned(config, data)
    check_learning(model, build_rows(config, data, tokenizer), config, precision)


if __name__ == "__main__":
    run_command(main)
