"""Errors in the words of a call: they name parameters and keys where those of the commands name options."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from shared.errors import EmotionError

_OPTIONS = re.compile(
    r"(`[^`]*`|\b(?:pip install|python -m|bentoml|emotion (?:train|evaluate|export|verify|predict|adapt|data)) .*)"
    r"|(?<![\w-])--([a-z][a-z_-]*(?:\.[a-z_]+)*)",
    re.DOTALL,
)
"""A command, which stays as a shell takes it, or an option."""
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


@contextmanager
def python_errors(names: Mapping[str, str] = _NO_NAMES) -> Iterator[None]:
    """Errors name `data.labels` where they named `--data.labels`; also a decorator of what users call.

    Args:
        names: what the parameters are called that have another name than their option.
    """
    try:
        yield
    except EmotionError as error:
        reword(error, lambda text: in_python(text, names))
        raise


def reword(error: EmotionError, change: Callable[[str], str]) -> None:
    """Change the message and the hint of an error."""
    error.message, error.hint = change(error.message), error.hint and change(error.hint)
    error.args = (f"{error.message} {error.hint}" if error.hint else error.message,)


def in_python(text: str, names: Mapping[str, str] = _NO_NAMES) -> str:
    """A message without the marks of a command line; `names` as in `python_errors`."""
    text = text.replace(" on the command line", "")
    return _OPTIONS.sub(lambda found: found[1] or names.get(found[2], found[2]), text)
