"""A file that one process holds at a time; the kernel lets it go when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from shared.errors import LockedError

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""What a file system says that has no locks."""


@dataclass
class Lock:
    """A file that this process holds until `close`; none where there are no locks.

    Attributes:
        path: of the file.
    """

    path: Path | None = None
    _stream: IO[str] | None = None

    @property
    def held(self) -> bool:
        """Whether there is one."""
        return self._stream is not None

    @classmethod
    def take(cls, path: Path) -> Lock:
        """Hold the file, which is made where it is not there; without a lock on a file system that has none.

        Raises:
            LockedError: when another process holds it; says which.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            stream = path.open("a+", encoding="utf-8")
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stream.seek(0)
                held_by = stream.read() or "a process that has just begun"
                stream.close()
                raise LockedError(held_by) from None
            except OSError as error:
                stream.close()
                if error.errno in _NO_LOCKS:
                    return cls()
                raise
            if _is_at(stream, path):
                break
            stream.close()  # its holder removed it meanwhile
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {socket.gethostname()}, since {datetime.now():%Y-%m-%d %H:%M:%S}")
        stream.flush()
        return cls(path, stream)

    def close(self) -> None:
        """Let it go, and remove the file."""
        if self.path is not None and self._stream is not None:
            if _is_at(self._stream, self.path):
                self.path.unlink()
            self._stream.close()
            self.path = self._stream = None


def _is_at(stream: IO[str], path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    return False
