"""Values of options: from text or plain YAML values to what a type asks for, and a type in words."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any

from training.config.types import Bounds


class RefusedValueError(ValueError):
    """A value that its type does not allow."""


def convert(hint: Any, value: Any) -> Any:
    """The value as the type wants it: text is read as YAML, by jsonargparse, and numbers are held to their limits.

    Args:
        hint: a type as it is written in a section, such as `PositiveInt | None` or `list[str]`.
        value: text of a command line or the environment, or a plain value of a file or a call.

    Raises:
        RefusedValueError: when the type does not allow it.
    """
    import jsonargparse  # noqa: PLC0415  (0.2 s, which --help need not wait for)

    plain = value is None or isinstance(value, bool | int | float | list | tuple | dict)
    text = json.dumps(value, default=str) if plain else str(value)  # a path is text like any other
    try:
        found = _reader(hint).parse_args([f"--value={text}"], env=False).value
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise RefusedValueError(f"{value!r} is not {describe(hint)}") from error
    if not _within(hint, found):
        raise RefusedValueError(f"{value!r} is not {describe(hint)}")
    return found


@cache
def _reader(hint: Any) -> Any:
    """A parser of one value."""
    import jsonargparse  # noqa: PLC0415  (0.2 s, which --help need not wait for)

    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=_plain_type(hint))
    return parser


def _plain_type(hint: Any) -> Any:
    """The type without limits, which jsonargparse does not know."""
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return _plain_type(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(_plain_type(item) for item in arguments)]  # noqa: UP007  (of a tuple)
    if origin in (list, dict):
        return origin[tuple(_plain_type(item) for item in arguments)]
    return hint


def _within(hint: Any, value: Any) -> bool:
    """Whether every number in a value of the right type is within its limits."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        bounds = [item for item in arguments[1:] if isinstance(item, Bounds)]
        return isinstance(value, (int, float)) and all(item.allow(value) for item in bounds)
    if origin in (typing.Union, types.UnionType):
        return any(value is None if item is type(None) else _within(item, value) for item in arguments)
    if origin is list:
        return isinstance(value, list) and all(_within(arguments[0], item) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_within(arguments[1], item) for item in value.values())
    return value is not None


def describe(hint: Any) -> str:  # noqa: PLR0911  (one for each kind of type)
    """The values a type allows, in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        limits = [str(item) for item in arguments[1:] if isinstance(item, Bounds)]
        return " ".join([describe(arguments[0]), *limits])
    if origin is typing.Literal:
        return ", ".join(str(choice) for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if item is type(None) else describe(item) for item in arguments)
    if origin is list:
        item = arguments[0]
        if not dataclasses.is_dataclass(item):
            return f"a list like [a, b], each {describe(item)}"
        return f"a list of entries with the keys {', '.join(field.name for field in dataclasses.fields(item))}"
    if origin is dict:
        return f"pairs like {{a: b}}, each b {describe(arguments[1])}"
    names = {bool: "true, false", int: "a whole number", float: "a number"}
    return names.get(hint, "a text")


def item_type(hint: Any) -> Any:
    """The type of what a list holds, also of one that may be null; None for any other type."""
    if typing.get_origin(hint) is list:
        return typing.get_args(hint)[0]
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else ()
    return next((item_type(option) for option in options if item_type(option) is not None), None)


def entry_type(hint: Any) -> Any:
    """The dataclass that a list holds, None for any other type."""
    item = item_type(hint)
    return item if dataclasses.is_dataclass(item) else None


def leaves(dataclass_type: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and type of every option below a dataclass."""
    hints = typing.get_type_hints(dataclass_type, include_extras=True)
    for field in dataclasses.fields(dataclass_type):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from leaves(hint, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", hint
