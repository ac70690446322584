"""What the offline commands share: an argument parser whose mistakes are one clear line."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from shared.cli import as_called
from shared.errors import ConfigError


class CommandParser(argparse.ArgumentParser):
    """An argument parser that raises instead of printing its usage, so that a mistake is one line.

    Args:
        prog: the module of the command.
        options: further arguments of `ArgumentParser`.
    """

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog=as_called(f"python -m {prog}"), **options)

    def error(self, message: str) -> NoReturn:
        """Raise the mistake.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{message}.", hint=f"See: {self.prog} --help")


def positive(text: str) -> int:
    """A whole number of 1 or more, for `type=` of an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of 1 or more")
    return int(text)
