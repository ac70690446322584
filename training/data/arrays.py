"""Arrays of many rows: in memory while they are small, else in files without a name that are mapped into memory.

The kernel drops mapped pages where memory is short and reads them again, so that rows may be many more than fit.
"""

from __future__ import annotations

import errno
import io
import math
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from shared.environment import cache_root

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

SPILL_BYTES = 2**24
"""An array that is larger lies in a file."""
ROWS_AT_ONCE = 2**16
"""Rows worked on at a time, where all of them would need a further array of their size."""
MANY_FILES = 65_536
"""Open files that are asked for."""
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)

Array = TypeVar("Array", bound=np.generic)


def pieces(rows: int) -> Iterator[slice]:
    """All rows, `ROWS_AT_ONCE` at a time."""
    return (slice(start, min(start + ROWS_AT_ONCE, rows)) for start in range(0, rows, ROWS_AT_ONCE))


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array of zeros that can be written to.

    Raises:
        OSError: when the disk is full.
    """
    size = math.prod((shape,) if isinstance(shape, int) else shape) * np.dtype(dtype).itemsize
    if size <= SPILL_BYTES:
        return np.zeros(shape, dtype)
    with nameless_file() as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, and not a signal later
        else:
            file.truncate(size)
        mapped = mmap.mmap(file.fileno(), size)
    return np.frombuffer(mapped, dtype=dtype).reshape(shape)


def rows_of(array: NDArray[Array], rows: NDArray[np.integer]) -> NDArray[Array]:
    """Some rows of an array in the order given, to be read; nothing is copied where they follow each other in it."""
    first = int(rows[0]) if len(rows) else 0
    if all((rows[piece] == np.arange(first + piece.start, first + piece.stop)).all() for piece in pieces(len(rows))):
        stretch = array[first : first + len(rows)]
        stretch.flags.writeable = False
        return stretch
    return copied_rows(array, rows)


def copied_rows(array: NDArray[Array], rows: NDArray[np.integer]) -> NDArray[Array]:
    """Some rows of an array in the order given, as an array of its own."""
    copied = zeros((len(rows), *array.shape[1:]), array.dtype)
    for piece in pieces(len(rows)):
        copied[piece] = array[rows[piece]]
    return copied


def joined(arrays: Sequence[NDArray[Array]]) -> NDArray[Array]:
    """Arrays one after the other; a single one as it is."""
    if len(arrays) == 1:
        return arrays[0]
    whole = zeros((sum(map(len, arrays)), *arrays[0].shape[1:]), arrays[0].dtype)
    start = 0
    for array in arrays:
        whole[start : start + len(array)] = array
        start += len(array)
    return whole


def nameless_file() -> BinaryIO:
    """A file in the cache folder, or where that cannot be written in the system's, that is gone once it is closed."""
    folder = cache_root() / "rows"
    _allow_many_files()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        return tempfile.TemporaryFile()


@cache
def _allow_many_files() -> None:
    """A mapped file holds a descriptor, and a wide table has many: take what the system gives to who asks."""
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, MANY_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Spool:
    """Bytes that are written one after the other and then read at any place."""

    def __init__(self) -> None:
        self._stream: BinaryIO = io.BytesIO()
        self._size = 0

    def write(self, content: bytes | memoryview) -> None:
        """Add bytes at the end.

        Raises:
            OSError: when the disk is full.
        """
        self._size += len(content)
        if self._size > SPILL_BYTES and isinstance(self._stream, io.BytesIO):
            held, self._stream = self._stream, nameless_file()
            self._stream.write(held.getbuffer())
        self._stream.write(content)

    def read(self) -> bytes | mmap.mmap:
        """All that was written; nothing can be added afterwards."""
        with self._stream as stream:
            if isinstance(stream, io.BytesIO):
                return stream.getvalue()
            stream.flush()
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
