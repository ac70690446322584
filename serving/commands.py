"""What the offline commands share: an argument parser whose mistakes are one clear line."""

from __future__ import annotations

import argparse
from typing import NoReturn

from shared.errors import ConfigError


class CommandParser(argparse.ArgumentParser):
    """An argument parser that raises instead of printing its usage, so that a mistake is one line."""

    def error(self, message: str) -> NoReturn:
        """Raise the mistake.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{message}.", hint=f"See: python -m {self.prog} --help")


def positive(text: str) -> int:
    """A whole number of 1 or more, for `type=` of an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of 1 or more")
    return int(text)
