"""One label cell, as programs write it: a name, an id, a list, a set, a dict, a 0/1 vector, or what numpy prints."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from shared.errors import DataFormatError
from shared.tables.values import is_missing

MISSING = frozenset(("", "nan", "none", "null", "na", "n/a", "<na>", "#n/a"))
"""What programs write for no value, in lower case."""
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_NUMBERS = re.compile(rf"{NUMBER.pattern}(?:\s+{NUMBER.pattern})*")
_BOOLS = re.compile(r"(?:True|False)(?:\s+(?:True|False))*", re.IGNORECASE)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_QUOTED_ROW = re.compile(r"(?:'[^']*'|\"[^\"]*\")(?:\s+(?:'[^']*'|\"[^\"]*\"))+")
_SCALAR = re.compile(r"\b(?:np|numpy|torch)\.\w+\(([^()]*)\)")
_CALL = re.compile(
    r"(?:np\.|numpy\.|torch\.)?(?:array|tensor|frozenset|set|list|tuple|dict_keys|Counter)\((.*?)"
    r"(?:,\s*(?:dtype|device)=[^()]*)?\)",
    re.DOTALL,
)
_BRACKETS = {"[": "]", "(": ")", "{": "}"}

Token = str | int | float | bool
"""A label as it is in a cell: a name, an id, or one value of a vector."""


class Listed(tuple[Token, ...]):
    """The tokens of a cell that was a list."""


class Scored(dict[str, float]):
    """The labels of a cell that was a dict, with their values; NaN where it has null for one."""


def parse_cell(value: Any, where: str) -> Listed | Scored | str | int | float | bool | None:
    """A cell as tokens where it is a list, as values by name where it is a dict, else a text or number; None if empty.

    Raises:
        DataFormatError: for a value that is no label, such as a list of lists.
    """
    if isinstance(value, str):
        return _parse_text(value.strip(), where)
    if is_missing(value):
        return None
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return _scored(value, where)
    if isinstance(value, (list, tuple, set, frozenset)) or type(value).__module__ == "numpy":
        items = value.tolist() if hasattr(value, "tolist") else value
        if not isinstance(items, (list, tuple, set, frozenset)):
            return parse_cell(items, where)
        return Listed(_token(part, where) for part in (sorted(items, key=repr) if isinstance(items, set) else items))
    raise DataFormatError(f"{where}: {value!r} is not a label; expected a name or a whole number.")


def _token(part: Any, where: str) -> Token:
    if isinstance(part, str) and part.strip():
        return " ".join(part.split())
    if isinstance(part, (bool, int, float)) and not is_missing(part):
        return part
    raise DataFormatError(f"{where}: {part!r} is not a label; expected a name or a whole number.")


def _scored(items: Mapping[Any, Any], where: str) -> Scored:
    for name, score in items.items():
        if not isinstance(score, (bool, int, float, type(None))):
            raise DataFormatError(f"{where}: the label '{name}' has the value {score!r}; expected 0 or 1.")
    return Scored({str(name).strip(): math.nan if score is None else float(score) for name, score in items.items()})


def _parse_text(text: str, where: str) -> Listed | Scored | str | None:
    call = _CALL.fullmatch(text)
    if call:
        inner = call.group(1).strip()
        return _parse_text(inner, where) if inner else Listed()
    if len(text) >= 2 and _BRACKETS.get(text[0]) == text[-1]:
        return _parse_bracketed(text, where)
    return None if text.lower() in MISSING else text


def _parse_bracketed(text: str, where: str) -> Listed | Scored | str | None:
    """What Python, JSON, numpy or Postgres wrote between brackets."""
    text = _SCALAR.sub(r"\1", text)
    inner = text[1:-1].strip()
    if not inner:
        return Scored() if text[0] == "{" else Listed()
    if "..." in inner:
        raise DataFormatError(
            f"{where}: {text[:60]!r} was cut short when it was printed.", hint="Write the table with all of its values."
        )
    printed = _numpy_row(inner)
    if printed is not None:
        return printed
    found = _literal(text)
    if found is None:
        return _unquoted(text, inner, where)
    if isinstance(found, Mapping):
        return _scored(found, where)
    if not isinstance(found, (list, tuple, set)):
        found = [found]
    if found and all(part is None or str(part).strip().lower() in MISSING for part in found):
        return None
    return Listed(_token(part, where) for part in found)


def _numpy_row(inner: str) -> Listed | None:
    """The values of an array that numpy printed, with blanks between them."""
    if _BOOLS.fullmatch(inner):
        return Listed(word.lower() == "true" for word in inner.split())
    if _NUMBERS.fullmatch(inner):
        return Listed(as_number(part) for part in inner.split())
    if _QUOTED_ROW.fullmatch(inner):  # Python would join these names to one word
        return Listed(first or second for first, second in _QUOTED.findall(inner))
    return None


def _literal(text: str) -> Any:
    """The value that Python or JSON writes so; None where it is neither."""
    for parse in (ast.literal_eval, json.loads):
        try:
            return parse(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return None


def _unquoted(text: str, inner: str, where: str) -> Listed | Scored | str | None:
    """Names between brackets without quotes: `[joy, fear]`, `{joy,fear}`, `{joy: 1, fear: 0}`."""
    if any(mark in inner for mark in "[](){}"):
        return text
    parts = [part.strip().strip("'\"") for part in inner.split(",")]
    pairs = [part.rsplit(":", 1) for part in parts]
    if text[0] == "{" and all(len(pair) == 2 and NUMBER.fullmatch(pair[1].strip()) for pair in pairs):
        return _scored({name.strip().strip("'\""): float(score) for name, score in pairs}, where)
    parts = [part for part in parts if part.lower() not in MISSING]
    return Listed(parts) if parts else None


def as_number(token: Token) -> int | float | bool | str:
    """A token as the number it is; names as they are. 0.0 is the whole number 0."""
    if isinstance(token, bool):
        return token
    if isinstance(token, str):
        if not NUMBER.fullmatch(token):
            return token
        token = float(token) if re.search(r"[.eE]", token) else int(token)
    return int(token) if float(token).is_integer() else token
