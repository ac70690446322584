"""Streams of remote files: one that is read goes on after a lost connection, one that is written is made anew."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from shared.errors import DataFormatError
from shared.storage.faults import LostError, repeated, told
from shared.storage.places import version_of

T = TypeVar("T")


class Reader(io.RawIOBase):
    """The bytes of a file, opened again, and read on from the same place, where the connection is lost.

    Args:
        system: fsspec's file system.
        bare: the file's name there.
        path: its URL, for messages.

    Raises:
        FileNotFoundError: when it is not there.
        StorageError: when it cannot be opened, or not be read on.
        DataFormatError: when it was replaced meanwhile.
    """

    def __init__(self, system: Any, bare: str, path: str) -> None:
        self._system, self._bare, self._path = system, bare, path
        self._file: Any = None
        self._place = 0
        self._version: str | None = None
        if not repeated(path, "read", self._found):
            raise FileNotFoundError(path)

    def _found(self) -> bool:
        with told(self._path, "read"):
            try:
                self._opened()
            except FileNotFoundError:
                return False
            return True

    def _opened(self) -> Any:
        if self._file is None:
            self._system.invalidate_cache()
            self._file = self._system.open(self._bare, "rb")
            self._check_same(getattr(self._file, "details", None) or self._system.info(self._bare))
            if self._place:
                self._file.seek(self._place)
        return self._file

    def _check_same(self, info: Mapping[str, Any]) -> None:
        """Two versions of a file are never read as one."""
        version = version_of(info)
        if self._version not in (None, version):
            raise DataFormatError(f"{self._path} was replaced while it was read.", hint="Start again.")
        self._version = version

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def seekable(self) -> bool:
        """See there."""
        return True

    def tell(self) -> int:
        """See there."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See there."""
        if whence == io.SEEK_CUR:
            offset, whence = self._place + offset, io.SEEK_SET
        self._place = self._tried(lambda: int(self._opened().seek(offset, whence)))
        return self._place

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """See there."""
        found: bytes = self._tried(lambda: self._next(len(buffer)))
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)

    def _next(self, most: int) -> bytes:
        file = self._opened()
        found: bytes = file.read(most)
        size = getattr(file, "size", None)
        if not found and most and size is not None and self._place < size:
            raise LostError(f"{self._place} of its {size} bytes came")
        return found

    def _tried(self, call: Callable[[], T]) -> T:
        def once() -> T:
            try:
                with told(self._path, "read"):
                    return call()
            except BaseException:
                self._let_go()
                raise

        return repeated(self._path, "read", once)

    def _let_go(self) -> None:
        if self._file is not None:
            with contextlib.suppress(Exception):  # what it was read for is done, or told of
                self._file.close()
            self._file = None

    def close(self) -> None:
        """See there."""
        self._let_go()
        super().close()


class Writer(io.RawIOBase):
    """What is written to a stream of fsspec's, its errors told apart from the writer's own.

    Args:
        stream: fsspec's.
        path: the file's URL, for messages.
    """

    def __init__(self, stream: Any, path: str) -> None:
        self._stream, self._path, self._place = stream, path, 0

    def writable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def tell(self) -> int:
        """See there."""
        return self._place

    def write(self, content: bytes) -> int:  # type: ignore[override]
        """See there; always all of it."""
        with told(self._path, "written"):
            self._stream.write(content)
        self._place += len(content)
        return len(content)
