"""Files that fsspec reaches: listed, read, and written whole or not at all."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any, BinaryIO, TypeVar, cast

from shared.storage.faults import repeated, told
from shared.storage.lock import Lock
from shared.storage.places import FoundFile, fixed_part, has_wildcards, version_of
from shared.storage.streams import Reader, Writer

T = TypeVar("T")


class RemoteStorage:
    """See `Storage`; a file appears when its upload is complete, by fsspec's transactions.

    Args:
        system: fsspec's file system.
        prefix: of its URLs, such as "s3://".
    """

    def __init__(self, system: Any, prefix: str) -> None:
        self._system, self._prefix = system, prefix

    def _bare(self, path: str) -> str:
        return str(self._system._strip_protocol(path))

    def _ask(self, path: str, done: str, call: Callable[[], T]) -> T | None:
        """What a call gives, as things are now; None where nothing is there."""

        def once() -> T | None:
            with told(path, done):
                self._system.invalidate_cache()
                try:
                    return call()
                except FileNotFoundError:
                    return None

        return repeated(path, done, once)

    def find(self, place: str) -> list[FoundFile]:
        """See `Storage`."""
        bare = self._bare(place)
        pattern = has_wildcards(bare) and not self.exists(place)
        search, root = (self._system.glob, fixed_part(bare)) if pattern else (self._system.find, bare)
        found: dict[str, Any] = self._ask(place, "listed", lambda: search(bare, detail=True)) or {}
        files = {name: info for name, info in sorted(found.items()) if info.get("type") == "file"}
        if list(files) == [bare]:
            root = str(PurePosixPath(bare).parent)
        return [self._found(name, info, root) for name, info in files.items()]

    def _found(self, name: str, info: dict[str, Any], root: str) -> FoundFile:
        relative = name.removeprefix(root.rstrip("/")).lstrip("/")
        return FoundFile(f"{self._prefix}{name.lstrip('/')}", relative, int(info.get("size") or 0), version_of(info))

    def _kind(self, path: str) -> str | None:
        """`file`, `directory`, or None where nothing is there: `isfile` and `isdir` take any error for a no."""
        return self._ask(path, "looked up", lambda: str(self._system.info(self._bare(path))["type"]))

    def is_folder(self, path: str) -> bool:
        """See `Storage`."""
        return self._kind(path) == "directory"

    def exists(self, path: str) -> bool:
        """See `Storage`."""
        return self._kind(path) == "file"

    def open(self, path: str) -> BinaryIO:
        """See `Storage`."""
        return cast(BinaryIO, io.BufferedReader(Reader(self._system, self._bare(path), path)))

    def write(self, path: str, scratch: str, fill: Callable[[BinaryIO], object]) -> None:
        """See `Storage`."""
        repeated(path, "written", lambda: self._upload(path, fill))

    def _upload(self, path: str, fill: Callable[[BinaryIO], object]) -> None:
        bare, stream = self._bare(path), None
        with told(path, "written"):
            self._system.makedirs(str(PurePosixPath(bare).parent), exist_ok=True)
        transaction = self._system.transaction
        transaction.start()
        try:
            with told(path, "written"):
                stream = self._system.open(bare, "wb")
            fill(cast(BinaryIO, Writer(stream, path)))
            with told(path, "written"):
                stream.close()
                transaction.complete(commit=True)
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is told
                if stream is not None:
                    stream.close()
            with contextlib.suppress(Exception):
                transaction.complete(commit=False)
            raise

    def names(self, folder: str) -> list[str]:
        """See `Storage`."""
        bare = self._bare(folder)
        if not self.is_folder(folder):
            return []
        names: list[str] = self._ask(folder, "listed", lambda: self._system.ls(bare, detail=False)) or []
        return sorted(PurePosixPath(name).name for name in names)

    def remove(self, path: str) -> None:
        """See `Storage`."""
        self._ask(path, "removed", lambda: self._system.rm(self._bare(path), recursive=True))

    def lock(self, path: str) -> Lock:
        """None is held: object storage has no locks that end with their holder."""
        return Lock()

    def source(self, path: str) -> RemoteFile:
        """See `Storage`."""
        return RemoteFile(self, path)


class RemoteFile:
    """A remote file with the methods of `Path` that the reader of tables calls."""

    def __init__(self, storage: RemoteStorage, path: str) -> None:
        self._storage, self._path = storage, path
        self.name, self.suffixes = PurePosixPath(path).name, PurePosixPath(path).suffixes
        self._size: int | None = None

    def __str__(self) -> str:
        return self._path

    def absolute(self) -> RemoteFile:
        """Itself."""
        return self

    def is_file(self) -> bool:
        """Whether it is there."""
        return self._storage.exists(self._path)

    def stat(self) -> SimpleNamespace:
        """Its size, asked for once: progress needs it again and again."""
        if self._size is None:
            self._size = self._storage.find(self._path)[0].size
        return SimpleNamespace(st_size=self._size)

    def open(self, mode: str) -> BinaryIO:
        """Its bytes."""
        return self._storage.open(self._path)
