"""Texts and numbers as a user has them in hand, as a list and as JSON has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from shared.errors import InvalidInputError

_EXAMPLE = 'Give a list, for example ["I passed the exam!"].'


def plain(value: Any) -> Any:
    """A number or an array of numpy as JSON has it.

    Raises:
        TypeError: for what JSON has not.
    """
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"JSON has no {type(value).__name__}")


def listed(texts: Iterable[Any]) -> list[Any]:
    """The texts of a list, a column, an array or a generator, in their order.

    Raises:
        InvalidInputError: for what would be read as other than its texts: one string, whose characters would be taken;
            a table or a dictionary, whose names would be; a set, which has no order.
    """
    if isinstance(texts, str):
        raise InvalidInputError("texts is one string.", hint=_EXAMPLE)
    kind = f"texts is a {type(texts).__name__}"
    if hasattr(texts, "columns") or hasattr(texts, "column_names"):
        raise InvalidInputError(f"{kind}, which has columns.", hint='Give one of them, for example frame["text"].')
    if isinstance(texts, Mapping | Set | bytes | bytearray):
        raise InvalidInputError(f"{kind}, not a list of texts.", hint=_EXAMPLE)
    if hasattr(texts, "to_pylist"):
        return list(texts.to_pylist())  # Arrow's own values are no strings
    try:
        return list(texts)
    except TypeError:
        raise InvalidInputError(f"{kind}, not a list of texts.", hint=_EXAMPLE) from None
