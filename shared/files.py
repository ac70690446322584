"""Files and folders that are either whole or not there: atomic writes, checksums, JSON objects."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.errors import BundleFormatError

SETTLED_NS = 100_000_000
"""A file that changed more recently may change again within a tick of the file system's clock: it is read again."""

FileState = tuple[int, int, int, int, int]
"""Device, inode, size, and times of the last change of content and of anything; the last cannot be set by a user."""

_digests: dict[FileState, str] = {}


def file_digests(path: Path) -> dict[str, str]:
    """Name -> sha256 of a file, or of each file that lies right in a folder; nothing for a path that is not there."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: sha256_file(file) for file in files if file.is_file()}


def sha256_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes; those of a file that this process has read are known until it changes."""
    with path.open("rb") as stream:
        before = _state(stream.fileno())
        if before in _digests:
            return _digests[before]
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if _state(stream.fileno()) == before and time.time_ns() - before[4] > SETTLED_NS:
            _digests[before] = digest
        return digest


def known_digests() -> dict[FileState, str]:
    """The digests that this process knows, for another process on this machine."""
    return dict(_digests)


def learn_digests(digests: Mapping[FileState, str]) -> None:
    """Believe digests that another process, one that is trusted, has computed."""
    _digests.update(digests)


def _state(descriptor: int) -> FileState:
    state = os.fstat(descriptor)
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a bundle's file.

    Raises:
        BundleFormatError: when the file is missing, not UTF-8 JSON, or not an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleFormatError(f"{path.name} is missing in {path.parent}.") from None
    except (ValueError, RecursionError) as error:
        raise BundleFormatError(f"{path.name} in {path.parent} is not valid JSON: {error}.") from error
    if not isinstance(content, dict):
        raise BundleFormatError(f"{path.name} in {path.parent} is not a JSON object.")
    return content


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON; the file is whole or the old one stays."""
    with replacing_file(path) as temporary:
        temporary.write_text(
            json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the same file as `source` where the file system allows, else a copy of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


@contextlib.contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` that takes its place when the block ends well, and is removed otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """An empty folder beside `target` that takes its place when the block ends well, and is removed otherwise.

    An older `target` stays untouched until the new one is complete.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        _swap(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(new: Path, target: Path) -> None:
    """Rename `new` to `target`; a folder already there is set aside first and put back where that does not happen."""
    if not target.exists():
        new.rename(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    old = aside / target.name
    try:
        target.rename(old)
        new.rename(target)
    finally:
        if old.exists() and not target.exists():  # it failed, or Ctrl-C came between the two
            old.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
