"""What was read of a source, kept while several parts, or the data of the training, may be of the same files."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

T = TypeVar("T")

_kept: ContextVar[dict[Hashable, Any] | None] = ContextVar("kept", default=None)


@contextmanager
def sources_kept() -> Iterator[None]:
    """Within the outermost block every table, and every corpus in a format of its own, is read once."""
    outer = _kept.get()
    token = _kept.set({} if outer is None else outer)
    try:
        yield
    finally:
        _kept.reset(token)


def kept(key: Hashable, read: Callable[[], T]) -> T:
    """What `read` returns; within `sources_kept` what it returned for the same key before."""
    found = _kept.get()
    if found is None:
        return read()
    if key not in found:
        found[key] = read()
    return cast(T, found[key])
