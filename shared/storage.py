"""Files on this machine and, through fsspec, on object storage: listed, read, and written whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, BinaryIO, Protocol, cast

from shared.errors import ConfigError

_URL = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_WILDCARD = re.compile(r"[*?\[]")
_VERSION_KEYS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")
"""What file systems of fsspec call what changes with a file's content."""


@dataclass(frozen=True)
class FoundFile:
    """A file that was found.

    Attributes:
        path: a local path or a URL.
        relative: below the folder, or the fixed part of the pattern, it was found by, with "/" between.
        size: bytes.
        version: what changes when its content does.
    """

    path: str
    relative: str
    size: int
    version: str


class Storage(Protocol):
    """Where files are."""

    def find(self, place: str) -> list[FoundFile]:
        """The file at `place`, all files below the folder, or those that fit its wildcards, in order of their names."""

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there."""

    def exists(self, path: str) -> bool:
        """Whether a file is there."""

    def open(self, path: str) -> BinaryIO:
        """The bytes of a file."""

    def writing(self, path: str, scratch: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """A stream whose content is at `path` when the block ends well; before, in the folder `scratch` at most."""

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder; none where it is not there."""

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all that is in it, where it is there."""

    def source(self, path: str) -> Any:
        """What `open_table` reads: a `Path`, or what behaves like one."""


def storage_of(place: str) -> Storage:
    """Where `place` is: this machine for a path or `file://`, what fsspec knows for any other URL.

    Raises:
        ConfigError: when fsspec, or its package for this kind of URL, is not installed.
    """
    scheme = _URL.match(place)
    if scheme is None or scheme[1].lower() in ("file", "local"):
        return LocalStorage()
    try:
        import fsspec  # noqa: PLC0415

        return RemoteStorage(fsspec.core.url_to_fs(place)[0], scheme[0])
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"{place} cannot be reached: {str(error).strip().rstrip('.')}.",
            hint="Run: pip install fsspec, and its package for this storage, such as s3fs, gcsfs or adlfs.",
        ) from None


def join(folder: str, name: str) -> str:
    """A path or URL below a folder."""
    return f"{folder.rstrip('/')}/{name}" if folder.rstrip("/") else f"{folder}{name}"


def is_pattern(place: str) -> bool:
    """Whether a place has wildcards and no file is called so."""
    return bool(_WILDCARD.search(plain(place))) and not storage_of(place).exists(place)


def plain(place: str) -> str:
    """A `file://` URL as a path; others as they are."""
    return re.sub(r"^(?:file|local)://(?=/)", "", place, flags=re.IGNORECASE)


def whole_path(place: str) -> str:
    """A local path from the root on, links followed, so that two names of a file are equal; a URL as it is."""
    scheme = _URL.match(place)
    local = scheme is None or scheme[1].lower() in ("file", "local")
    return os.path.realpath(plain(place)) if local else place


class LocalStorage:
    """Files of this machine."""

    def find(self, place: str) -> list[FoundFile]:
        """See `Storage`."""
        place = plain(place)
        if Path(place).is_file():
            return [self._found(Path(place), Path(place).parent)]
        if Path(place).is_dir():
            return [self._found(path, Path(place)) for path in sorted(Path(place).rglob("*")) if path.is_file()]
        if not _WILDCARD.search(place):
            return []
        root = Path(_fixed_part(place) or ("/" if place.startswith("/") else "."))
        paths = sorted(Path(name) for name in glob.glob(place, recursive=True))  # noqa: PTH207  "**" and "[...]"
        return [self._found(path, root) for path in paths if path.is_file()]

    def _found(self, path: Path, root: Path) -> FoundFile:
        state = path.stat()
        return FoundFile(str(path), path.relative_to(root).as_posix(), state.st_size, str(state.st_mtime_ns))

    def is_folder(self, path: str) -> bool:
        """See `Storage`."""
        return Path(plain(path)).is_dir()

    def exists(self, path: str) -> bool:
        """See `Storage`."""
        return Path(plain(path)).is_file()

    def open(self, path: str) -> BinaryIO:
        """See `Storage`."""
        return Path(plain(path)).open("rb")

    @contextlib.contextmanager
    def writing(self, path: str, scratch: str) -> Iterator[BinaryIO]:
        """See `Storage`."""
        target, folder = Path(plain(path)), Path(plain(scratch))
        for needed in (target.parent, folder):
            needed.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", dir=folder)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.chmod(0o644)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """See `Storage`."""
        place = Path(plain(folder))
        return sorted(path.name for path in place.iterdir()) if place.is_dir() else []

    def remove(self, path: str) -> None:
        """See `Storage`."""
        place = Path(plain(path))
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)

    def source(self, path: str) -> Path:
        """See `Storage`."""
        return Path(plain(path))


class RemoteStorage:
    """Files that fsspec reaches; one appears when its upload is complete, by fsspec's transactions.

    Args:
        system: fsspec's file system.
        prefix: of its URLs, such as "s3://".
    """

    def __init__(self, system: Any, prefix: str) -> None:
        self._system, self._prefix = system, prefix

    def _bare(self, path: str) -> str:
        return str(self._system._strip_protocol(path))

    def find(self, place: str) -> list[FoundFile]:
        """See `Storage`."""
        self._system.invalidate_cache()
        bare = self._bare(place)
        if _WILDCARD.search(bare):
            found, root = self._system.glob(bare, detail=True), _fixed_part(bare)
        else:
            found, root = self._system.find(bare, detail=True), bare
        files = {name: info for name, info in sorted(found.items()) if info.get("type") == "file"}
        if list(files) == [bare]:
            root = str(PurePosixPath(bare).parent)
        return [self._found(name, info, root) for name, info in files.items()]

    def _found(self, name: str, info: dict[str, Any], root: str) -> FoundFile:
        version = next((str(info[key]) for key in _VERSION_KEYS if info.get(key)), "")
        relative = name.removeprefix(root.rstrip("/")).lstrip("/")
        return FoundFile(f"{self._prefix}{name.lstrip('/')}", relative, int(info.get("size") or 0), version)

    def is_folder(self, path: str) -> bool:
        """See `Storage`."""
        return bool(self._system.isdir(self._bare(path)))

    def exists(self, path: str) -> bool:
        """See `Storage`."""
        self._system.invalidate_cache()
        return bool(self._system.isfile(self._bare(path)))

    def open(self, path: str) -> BinaryIO:
        """See `Storage`."""
        return cast(BinaryIO, self._system.open(self._bare(path), "rb"))

    @contextlib.contextmanager
    def writing(self, path: str, scratch: str) -> Iterator[BinaryIO]:
        """See `Storage`."""
        bare = self._bare(path)
        self._system.makedirs(str(PurePosixPath(bare).parent), exist_ok=True)
        with self._system.transaction, self._system.open(bare, "wb") as stream:
            yield stream

    def names(self, folder: str) -> list[str]:
        """See `Storage`."""
        self._system.invalidate_cache()
        bare = self._bare(folder)
        if not self._system.isdir(bare):
            return []
        return sorted(PurePosixPath(name).name for name in self._system.ls(bare, detail=False))

    def remove(self, path: str) -> None:
        """See `Storage`."""
        with contextlib.suppress(FileNotFoundError):
            self._system.rm(self._bare(path), recursive=True)

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

    def open(self, mode: str) -> io.BufferedReader:
        """Its bytes."""
        return io.BufferedReader(cast(io.RawIOBase, self._storage.open(self._path)))


def _fixed_part(pattern: str) -> str:
    """The folders before the first wildcard."""
    parts = pattern.split("/")
    first = next(place for place, part in enumerate(parts) if _WILDCARD.search(part))
    return "/".join(parts[:first])
