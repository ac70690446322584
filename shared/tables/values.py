"""Values of cells, and how each is written as text and as JSON without changing it."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
import numbers
import re
from collections.abc import Callable
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False).encode
_SURROGATES = re.compile(r"[\ud800-\udfff]")
NO_TEXTS = (list, tuple, dict, bytes)
"""What a cell may hold that is never read as its text."""


class JsonFloat(float):
    """A number with a fraction or an exponent that remembers how it was written."""

    literal: str

    def __new__(cls, literal: str) -> JsonFloat:
        """Parse the literal."""
        found = super().__new__(cls, literal)
        found.literal = literal
        return found


def to_json(value: Any) -> str:
    """JSON of a value, with numbers as they were written; NaN and infinities, which JSON lacks, are null.

    Dates, times and durations are texts by ISO 8601, bytes are base64.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return _encode(value)
    if isinstance(value, float):
        return number_text(value) if math.isfinite(value) else "null"
    if isinstance(value, dict):
        pairs = (f"{_encode(str(name))}: {to_json(inner)}" for name, inner in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(to_json, value)) + "]"
    if isinstance(value, decimal.Decimal) and value.is_finite():
        return format(value, "f")
    return _encode(to_text(value))


def to_text(value: Any) -> str:
    """A value as the text of a cell; None is an empty cell, lists and objects are JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else _writer_of(type(value))(value)


def is_missing(value: Any) -> bool:
    """Whether a cell, or a place in a list in hand, holds no value: None, NaN of any kind, or NA and NaT of pandas."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral) and math.isnan(value)


def text_of(value: Any) -> str | None:
    """The text that a cell holds, as it was written; None where there is none."""
    if isinstance(value, str):
        return value
    return None if is_missing(value) else to_text(value)


def name_in(value: Any) -> str:
    """What a cell names, as a dialogue or a language, without blanks around it; "" where it names nothing."""
    return (text_of(value) or "").strip()


def why_no_text(value: Any) -> str | None:
    """Why a cell holds no text, where it holds a list, an object or bytes."""
    if not isinstance(value, NO_TEXTS):
        return None
    shown = value if isinstance(value, bytes) else to_text(value)
    return f"the text is {shown[:60]!r}, which is no text"


def number_text(value: float) -> str:
    """A number as it was written, or in the fewest digits that give it back."""
    return value.literal if isinstance(value, JsonFloat) else repr(float(value))


def _writer_of(kind: type) -> Callable[[Any], str]:
    for wanted, write in _WRITERS:
        if issubclass(kind, wanted):
            return write
    return str


_WRITERS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (bool, lambda value: "true" if value else "false"),
    (float, number_text),
    (datetime.datetime, lambda value: value.isoformat(sep=" ")),
    (datetime.date, lambda value: value.isoformat()),
    (datetime.time, lambda value: value.isoformat()),
    (bytes, lambda value: base64.b64encode(value).decode("ascii")),
    (dict, to_json),
    (list, to_json),
    (tuple, to_json),
)


def encodable(text: str) -> str:
    """A text without lone surrogates, which UTF-8 cannot hold: pairs become their character, others U+FFFD."""
    if not _SURROGATES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def for_csv(text: str) -> str:
    """A text as CSV holds it: without lone surrogates and NUL, which readers refuse or stop at; both become U+FFFD."""
    return encodable(text).replace("\0", "\ufffd")
