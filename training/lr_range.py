"""`python -m training.lr_range`: which learning rates teach this model something, tried from low to high."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from shared.cli import run_command
from training.config.experiments import RangeOptions
from training.config.parser import parse_options

DESCRIPTION = (
    "Train for a few steps while the learning rate rises, draw the loss over it to <run>/lr_range.svg, and suggest a "
    "rate; the last line is one JSON object."
)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the configuration, make the test, draw it and print the suggestion.

    Raises:
        EmotionError: for a mistake in the configuration.
    """
    options, _ = parse_options(
        RangeOptions, sys.argv[1:] if argv is None else argv, prog="python -m training.lr_range",
        description=DESCRIPTION,
    )  # fmt: skip
    from training.experiments.lr_range import draw_range  # loads torch, which --help need not wait for

    result, path = draw_range(options)
    suggestion = result.suggestion
    print(f"Tried {len(result.rates)} rates from {result.rates[0]:.1e} to {result.rates[-1]:.1e}: see {path}")
    if suggestion is None:
        print("The loss fell at none of them: raise --range.high, or check the data with python -m training.preflight.")
    else:
        print(f"The loss falls fastest at {suggestion:.1e}: try --optim.lr {suggestion:.1e}")
    print(json.dumps({"suggestion": suggestion, "rates": result.rates.tolist(), "losses": result.losses.tolist()}))


if __name__ == "__main__":
    run_command(main)
