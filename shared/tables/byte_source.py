"""Where the bytes of a table come from: a file, a compressed file, or standard input."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import sys
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from shared.errors import DataFormatError, DataNotFoundError

GZIP_MAGIC = b"\x1f\x8b"
SAMPLE_BYTES = 2**18
"""Bytes looked at to find out encoding, separator and header."""


class ByteSource:
    """Bytes that may be opened more than once.

    Standard input is read as it comes: it can be opened once, unless `spool` has copied it to a temporary file.

    Attributes:
        name: how messages call it.
        path: its file; None for standard input.
    """

    def __init__(self, path: Path | None, stdin: BinaryIO | None = None) -> None:
        self.path = path
        self.name = str(path) if path else "standard input"
        self._head = b""
        self._rest: BinaryIO | None = None
        self._spooled: BinaryIO | None = None
        self._raw_file: io.BufferedReader | None = None
        self._position = 0
        if path is None:
            self._rest = stdin or sys.stdin.buffer
            self._head = self._rest.read(SAMPLE_BYTES)
            if self._head.startswith(GZIP_MAGIC):
                self.spool()
        elif not path.is_file():
            raise DataNotFoundError(f"no input file at {path}: looked for {path.absolute()}.")

    @property
    def size(self) -> int | None:
        """Bytes of the file; None for standard input."""
        return self.path.stat().st_size if self.path else None

    @property
    def position(self) -> int:
        """Bytes of the file that were read."""
        if self._raw_file is not None and not self._raw_file.closed:
            self._position = self._raw_file.tell()
        return self._position

    @property
    def repeatable(self) -> bool:
        """Whether it can be opened again."""
        return self.path is not None or self._spooled is not None

    def sample(self) -> tuple[bytes, bool]:
        """The first bytes, unpacked, and whether they are all there are."""
        if not self.repeatable:
            return self._head, len(self._head) < SAMPLE_BYTES
        with self.open() as stream:
            found = stream.read(SAMPLE_BYTES + 1)
        return found[:SAMPLE_BYTES], len(found) <= SAMPLE_BYTES

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The bytes from the start, unpacked where they are compressed.

        Raises:
            DataFormatError: when the compressed bytes are damaged.
        """
        with contextlib.ExitStack() as stack:
            raw = stack.enter_context(self._raw())
            if raw.peek(2)[:2] == GZIP_MAGIC:
                raw = io.BufferedReader(stack.enter_context(gzip.GzipFile(fileobj=raw)))  # type: ignore[arg-type]
            try:
                yield cast(BinaryIO, raw)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise DataFormatError(f"{self.name} is damaged: {error}.") from None

    def _raw(self) -> io.BufferedReader:
        if self._spooled is not None:
            self._spooled.seek(0)
            return os.fdopen(os.dup(self._spooled.fileno()), "rb")
        if self.path is not None:
            local = isinstance(self.path, Path)
            self._raw_file = io.BufferedReader(_LocalFile(self.path)) if local else self.path.open("rb")
            return self._raw_file
        if self._rest is None:
            raise RuntimeError("standard input is opened a second time without spool()")
        rest, self._rest = self._rest, None
        return io.BufferedReader(_Unclosed(self._head, rest))

    def spool(self) -> None:
        """Copy standard input to a temporary file, so that it can be read twice."""
        if self._rest is not None:
            self._copy()

    def make_seekable(self) -> None:
        """Copy what is no plain file to a temporary one, unpacked, so that it can be read in any order."""
        if self._spooled is None and (self.path is None or self._is_packed()):
            self._copy()

    def _is_packed(self) -> bool:
        with self._raw() as raw:
            return raw.peek(2)[:2] == GZIP_MAGIC

    def _copy(self) -> None:
        spooled = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the source
        weakref.finalize(self, spooled.close)
        with self.open() as stream:
            shutil.copyfileobj(stream, spooled)
        spooled.flush()
        self._spooled, self._rest = cast(BinaryIO, spooled), None


class _LocalFile(io.FileIO):
    """A file of this machine; what the system says where it cannot be read is an error of one line.

    Raises:
        DataNotFoundError: by every call.
    """

    def __init__(self, path: Path) -> None:
        with _told(str(path)):
            super().__init__(path)

    def readinto(self, buffer: bytearray | memoryview) -> int | None:  # type: ignore[override]
        with _told(str(self.name)):
            return super().readinto(buffer)

    def readall(self) -> bytes | None:  # type: ignore[override]
        with _told(str(self.name)):
            return super().readall()


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataNotFoundError(f"{name} cannot be read: {error.strerror}.") from error


class _Unclosed(io.RawIOBase):
    """`head` and then the rest of a stream, which stays open when this is closed."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = io.BytesIO(head), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        found = self._head.read(len(buffer)) or self._rest.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)
