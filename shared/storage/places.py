"""Paths and URLs as texts, and the files that are found at them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


def version_of(info: Mapping[str, Any]) -> str:
    """What changes with a file's content, from what fsspec says of the file; "" where it says nothing of the kind."""
    return next((str(info[key]) for key in _VERSION_KEYS if info.get(key)), "")


def scheme_of(place: str) -> str | None:
    """What stands before `://`, as it is written; None for a path of this machine, also as `file://`."""
    found = _URL.match(place)
    return None if found is None or found[1].lower() in ("file", "local") else found[1]


def join(folder: str, name: str) -> str:
    """A path or URL below a folder."""
    return f"{folder.rstrip('/')}/{name}" if folder.rstrip("/") else f"{folder}{name}"


def plain(place: str) -> str:
    """A `file://` URL as a path; others as they are."""
    return re.sub(r"^(?:file|local)://(?=/)", "", place, flags=re.IGNORECASE)


def whole_path(place: str) -> str:
    """A local path from the root on, links followed, so that two names of a file are equal; a URL as it is."""
    return os.path.realpath(plain(place)) if scheme_of(place) is None else place


def has_wildcards(path: str) -> bool:
    """Whether a path is a pattern."""
    return bool(_WILDCARD.search(path))


def fixed_part(pattern: str) -> str:
    """The folders before the first wildcard."""
    parts = pattern.split("/")
    first = next(place for place, part in enumerate(parts) if has_wildcards(part))
    return "/".join(parts[:first])
