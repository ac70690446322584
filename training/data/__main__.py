"""`python -m training.data`: what a corpus holds, before anything is trained on it; `get NAME` downloads one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from shared.cli import run_command
from shared.errors import ModelError
from training.config import Config
from training.config.parser import parse_options

DESCRIPTION = (
    "Print counts, what was dropped, support and co-occurrence of the labels, lengths, leaks and licences of the "
    "corpora that a run would use. `get NAME` downloads a public corpus: goemotions, tweet_eval, ... (`get --help`)."
)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the corpora of a configuration and print what they hold; after `get`, download one."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["get"]:
        from training.data.fetch import main as get

        get(given[1:])
        return
    config, _ = parse_options(Config, given, prog="python -m training.data", description=DESCRIPTION)
    # here and not on top: pandas and scikit-learn take seconds, and neither --help nor a mistake should wait for them
    from shared.modeling.tokenizer_files import load_tokenizer_json
    from shared.tokenizer import TextTokenizer
    from training.data.load import load_data
    from training.data.overview import overview

    splits = load_data(config.data, single_label=config.loss.single_label)
    try:
        tokenizer = TextTokenizer(
            load_tokenizer_json(config.model.name),
            max_length=config.data.max_length,
            head_tokens=config.data.head_tokens,
            normalisation=config.data.normalisation,
            context=config.data.context,
        )
    except ModelError as error:
        print(
            f"note: lengths are counted in words, as the tokenizer of {config.model.name} is not here ({error.message})"
        )
        tokenizer = None
    print("\n".join(overview(splits, tokenizer)))


if __name__ == "__main__":
    run_command(main)
