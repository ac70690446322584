"""Files of this machine."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from shared.storage.lock import Lock
from shared.storage.places import FoundFile, fixed_part, has_wildcards, plain


class LocalStorage:
    """See `Storage`."""

    def find(self, place: str) -> list[FoundFile]:
        """See `Storage`."""
        place = plain(place)
        if Path(place).is_file():
            return [self._found(Path(place), Path(place).parent)]
        if Path(place).is_dir():
            return [self._found(path, Path(place)) for path in sorted(Path(place).rglob("*")) if path.is_file()]
        if not has_wildcards(place):
            return []
        root = Path(fixed_part(place) or ("/" if place.startswith("/") else "."))
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

    def write(self, path: str, scratch: str, fill: Callable[[BinaryIO], object]) -> None:
        """See `Storage`."""
        target, folder = Path(plain(path)), Path(plain(scratch))
        for needed in (target.parent, folder):
            needed.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", dir=folder)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                fill(stream)
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

    def remove_files(self, paths: Sequence[str]) -> None:
        """See `Storage`."""
        for path in paths:
            self.remove(path)

    def lock(self, path: str) -> Lock:
        """See `Storage`."""
        return Lock.take(Path(plain(path)))

    def source(self, path: str) -> Path:
        """See `Storage`."""
        return Path(plain(path))
