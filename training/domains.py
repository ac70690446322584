"""Out-of-domain results: every bundle on every corpus, over the labels that both have; one table and one plot."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from shared.cli import run_command
from training.config.evaluate import DomainsOptions
from training.config.parser import parse_options


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate the bundles that stand first on the corpora of data.sources, and print the table."""
    words = sys.argv[1:] if argv is None else list(argv)
    first_option = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    options, _ = parse_options(
        DomainsOptions, words[first_option:], prog="python -m training.domains", description=str(__doc__),
        examples=["runs/a runs/b --config corpora.yaml"], several="BUNDLE ...",
    )  # fmt: skip
    from training.experiments.domains import run_domains  # loads torch, which --help need not wait for

    print(run_domains(words[:first_option], options), end="")
    return 0


if __name__ == "__main__":
    run_command(main)
