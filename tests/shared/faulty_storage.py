"""Object storage in memory: a bucket must be there, and reads, writes and commits fail where a test says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from fsspec.implementations.memory import MemoryFileSystem


@dataclass
class Fault:
    """What goes wrong.

    Attributes:
        end: of the names of the files it befalls.
        call: read, write, commit, or a method of the file system, such as info.
        error: what is raised; None for a read that ends early.
        byte: of the file at which it is raised.
        times: how often.
    """

    end: str
    call: str
    error: Exception | None
    byte: int = 0
    times: int = 1_000


class FaultyFileSystem(MemoryFileSystem):
    """As fsspec's in memory, under `faulty://`, with what S3 does otherwise.

    Attributes:
        markers: empty objects that are listed for folders, their names ending in "/".
    """

    protocol = "faulty"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    faults: ClassVar[list[Fault]] = []
    markers: ClassVar[list[str]] = []

    @classmethod
    def empty(cls):
        """Begin anew, with one bucket that has nothing in it."""
        cls.store.clear()
        cls.faults.clear()
        cls.markers.clear()
        cls.pseudo_dirs[:] = ["", "/bucket"]

    @classmethod
    def _strip_protocol(cls, path):
        name = path.removeprefix("faulty://").strip("/")  # fsspec's in memory stops at "::"
        return f"/{name}" if name else ""

    @classmethod
    def happens(cls, path, call, upto=0):
        """The fault of a call that reaches a byte, if there is one; it is used up by that."""
        for fault in cls.faults:
            if path.endswith(fault.end) and fault.call == call and upto >= fault.byte and fault.times:
                fault.times -= 1
                if fault.error is not None:
                    raise fault.error
                return True
        return False

    def info(self, path, **options):
        self.happens(path, "info")
        return super().info(path, **options)

    def find(self, path, *arguments, **options):
        self.happens(path, "find")
        found = super().find(path, *arguments, **options)
        marked = {name: {"name": name, "size": 0, "type": "file"} for name in self.markers if name.startswith(path)}
        return found | marked if isinstance(found, dict) else [*found, *marked]

    def _open(self, path, mode="rb", **options):
        if mode == "wb" and not self.exists("/" + path.split("/")[1]):
            raise FileNotFoundError("The specified bucket does not exist")
        return _Stream(self, path, super()._open(path, mode, **options))


class _Stream:
    def __init__(self, system, path, stream):
        self._system, self._path, self._stream = system, path, stream
        self.size = len(stream.getbuffer())

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def read(self, most=-1):
        found = self._stream.read(most)
        return b"" if self._system.happens(self._path, "read", self._stream.tell()) else found

    def write(self, content):
        self._system.happens(self._path, "write", self._stream.tell() + len(content))
        return self._stream.write(content)

    def commit(self):
        self._system.happens(self._path, "commit")
        self._stream.commit()

    def close(self):
        pass
