"""What object storage raises: a lost connection is tried again, what is refused is an error of one line."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from shared.errors import DataNotFoundError, EmotionError, StorageError

logger = logging.getLogger(__name__)

WAITS_S = (1.0, 3.0, 9.0)
"""Before each further try; the packages below fsspec have tried some times themselves."""
_REFUSED = (PermissionError, FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError)
_REFUSED_NAMES = re.compile("Credential|ParamValidation")
"""In the names of errors of the packages below fsspec."""

T = TypeVar("T")


class LostError(Exception):
    """A call that may go well when it is made again."""


@contextlib.contextmanager
def told(path: str, done: str) -> Iterator[None]:
    """Turn whatever a call of fsspec raises into `LostError`, or into the error for what is refused.

    The packages below fsspec have no common base for their errors: the block must hold their calls alone.

    Args:
        path: what the call is about.
        done: what the call does to it, as in "cannot be read".

    Raises:
        LostError: when another try may help.
        DataNotFoundError: when it cannot be read, and others may be.
        StorageError: when it is refused otherwise.
    """
    try:
        yield
    except (EmotionError, LostError):
        raise
    except Exception as error:
        if not isinstance(error, _REFUSED) and not _REFUSED_NAMES.search(type(error).__name__):
            raise LostError(_reason(error)) from error
        kind = DataNotFoundError if done == "read" else StorageError
        missing = done == "written" and isinstance(error, FileNotFoundError)
        reason = "its bucket or folder is not there" if missing else _reason(error)
        raise kind(f"{path} cannot be {done}: {reason}.") from error


def repeated(path: str, done: str, call: Callable[[], T]) -> T:
    """What a call gives; it is made again when it raises `LostError`, as often as there are `WAITS_S`.

    Raises:
        StorageError: when it is lost the last time, too.
    """
    for wait_s in WAITS_S:
        try:
            return call()
        except LostError as lost:
            logger.warning("%s could not be %s: %s; it is tried again in %g s", path, done, lost, wait_s)
            time.sleep(wait_s)
    try:
        return call()
    except LostError as lost:
        raise StorageError(f"{path} cannot be {done}: {lost}; tried {len(WAITS_S) + 1} times.") from lost


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    said = " ".join(str(error).split()).rstrip(".")[:200]
    return f"{said} ({type(error).__name__})" if said else type(error).__name__
