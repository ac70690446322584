"""Files that fsspec reaches: listed, read, and written whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import io
from collections.abc import Callable, Sequence
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

    On object storage a file and a folder may have one name: with "/" at its end it is the folder, else the file.

    Args:
        system: fsspec's file system.
    """

    def __init__(self, system: Any) -> None:
        self._system = system
        self._made: set[str] = set()

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
        bare, info = self._bare(place), self._file(place)
        pattern = info is None and has_wildcards(bare)
        search = self._system.glob if pattern else self._system.find
        found: dict[str, Any] = self._ask(place, "listed", lambda: search(bare, detail=True)) or {}
        if info is not None:  # a listing may write the version otherwise
            return [_found(place, bare.rpartition("/")[2], found.get(bare, info))]
        files = (name for name, info in found.items() if info.get("type") == "file" and not name.endswith("/"))
        url, root = (fixed_part(place), fixed_part(bare)) if pattern else (place, bare)
        below = ((name, name.removeprefix(root.rstrip("/"))) for name in sorted(files))
        return [_found(_url_below(url, rest), rest.lstrip("/"), found[name]) for name, rest in below]

    def _info(self, path: str) -> dict[str, Any] | None:
        """What fsspec says of a path; None where nothing is there: `isfile` and `isdir` take any error for a no."""
        return self._ask(path, "looked up", lambda: dict(self._system.info(self._bare(path))))

    def _file(self, path: str) -> dict[str, Any] | None:
        info = None if path.endswith("/") else self._info(path)
        return info if info is not None and info["type"] == "file" else None

    def is_folder(self, path: str) -> bool:
        """See `Storage`."""
        info = self._info(path)
        return info is not None and info["type"] == "directory"

    def exists(self, path: str) -> bool:
        """See `Storage`."""
        return self._file(path) is not None

    def open(self, path: str) -> BinaryIO:
        """See `Storage`."""
        return cast(BinaryIO, io.BufferedReader(Reader(self._system, self._bare(path), path)))

    def write(self, path: str, scratch: str, fill: Callable[[BinaryIO], object]) -> None:
        """See `Storage`."""
        repeated(path, "written", lambda: self._upload(path, fill))

    def _upload(self, path: str, fill: Callable[[BinaryIO], object]) -> None:
        bare, stream = self._bare(path), None
        with told(path, "written"):
            self._make_folder(bare.rpartition("/")[0])
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

    def _make_folder(self, folder: str) -> None:
        """Make a folder, where there are such; never a bucket, which `makedirs` creates for a name that is misspelt."""
        top = folder if (end := folder.find("/", 1)) < 0 else folder[:end]
        if folder not in self._made and self._system.exists(top):
            self._system.makedirs(folder, exist_ok=True)
            self._made.add(folder)

    def names(self, folder: str) -> list[str]:
        """See `Storage`."""
        bare = self._bare(folder)
        names: list[str] = self._ask(folder, "listed", lambda: self._system.ls(bare, detail=False)) or []
        return sorted(PurePosixPath(name).name for name in names if name.rstrip("/") != bare)

    def remove(self, path: str) -> None:
        """See `Storage`."""
        self._made.clear()
        literal = glob.escape(self._bare(path))  # `rm` takes names for patterns
        self._ask(path, "removed", lambda: self._system.rm(literal, recursive=True))

    def remove_files(self, paths: Sequence[str]) -> None:
        """See `Storage`."""
        names = [self._bare(path) for path in paths]
        if any(map(has_wildcards, names)):
            for path in paths:
                self.remove(path)
        elif names:
            self._ask(f"{paths[0]} and {len(paths) - 1} more", "removed", lambda: self._system.rm(names))

    def lock(self, path: str) -> Lock:
        """None is held: object storage has no locks that end with their holder."""
        return Lock()

    def source(self, path: str) -> RemoteFile:
        """See `Storage`."""
        return RemoteFile(self, path)


def _found(url: str, relative: str, info: dict[str, Any]) -> FoundFile:
    return FoundFile(url, relative, int(info.get("size") or 0), version_of(info))


def _url_below(url: str, rest: str) -> str:
    """The URL of what is below another: names of fsspec may lack its host, or have its scheme."""
    top = url.rstrip("/")
    return f"{top}//{rest}" if top.endswith(":") else f"{top}/{rest.lstrip('/')}"


class RemoteFile:
    """A remote file with the methods of `Path` that the reader of tables calls."""

    def __init__(self, storage: RemoteStorage, path: str) -> None:
        self._storage, self._path = storage, path
        self.name = PurePosixPath(path).name
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
