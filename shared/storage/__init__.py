"""Files on this machine and, through fsspec, on object storage: listed, read, and written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Protocol

from shared.errors import ConfigError
from shared.storage.local import LocalStorage
from shared.storage.lock import Lock
from shared.storage.places import FoundFile, has_wildcards, join, plain, scheme_of, whole_path
from shared.storage.remote import RemoteStorage

__all__ = ["FoundFile", "Lock", "Storage", "is_pattern", "join", "plain", "scheme_of", "storage_of", "whole_path"]


class Storage(Protocol):
    """Where files are.

    Raises:
        StorageError: by every method of object storage, in one line, when it refuses or cannot be reached.
    """

    def find(self, place: str) -> list[FoundFile]:
        """The file at `place`, all files below the folder, or those that fit its wildcards, in order of their names."""

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there."""

    def exists(self, path: str) -> bool:
        """Whether a file is there."""

    def open(self, path: str) -> BinaryIO:
        """The bytes of a file.

        Raises:
            FileNotFoundError: when it is not there.
        """

    def write(self, path: str, scratch: str, fill: Callable[[BinaryIO], object]) -> None:
        """Have `fill` write what is at `path` when it has ended well; before, in the folder `scratch` at most.

        On object storage it may be called again, with another stream, when a connection was lost.
        """

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder; none where it is not there."""

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all that is in it, where it is there."""

    def remove_files(self, paths: Sequence[str]) -> None:
        """Remove many files, in as few requests as there may be."""

    def lock(self, path: str) -> Lock:
        """Hold a file for this process alone, where there are locks; object storage has none.

        Raises:
            LockedError: when another process holds it.
        """

    def source(self, path: str) -> Any:
        """What `open_table` reads: a `Path`, or what behaves like one."""


def storage_of(place: str) -> Storage:
    """Where `place` is: this machine for a path or `file://`, what fsspec knows for any other URL.

    Raises:
        ConfigError: when fsspec, or its package for this kind of URL, is not installed, or cannot be set up.
    """
    scheme = scheme_of(place)
    if scheme is None:
        return LocalStorage()
    try:
        import fsspec  # noqa: PLC0415

        options = fsspec.get_filesystem_class(scheme)._get_kwargs_from_urls(place)  # `url_to_fs` would split at "::"
        return RemoteStorage(fsspec.filesystem(scheme, **options))
    except (ImportError, ValueError) as error:
        hint = "Run: pip install fsspec, and its package for this storage, such as s3fs, gcsfs or adlfs."
        raise ConfigError(f"{place} cannot be reached: {_in_short(error)}.", hint=hint) from None
    except Exception as error:  # those packages have no common base for what credentials or settings lack
        raise ConfigError(f"{place} cannot be reached: {_in_short(error)}.") from error


def is_pattern(place: str) -> bool:
    """Whether a place has wildcards and no file is called so."""
    return has_wildcards(plain(place)) and not storage_of(place).exists(place)


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
