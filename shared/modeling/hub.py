"""Files of models on the hub, and whether it can be reached at all."""

from __future__ import annotations

import functools
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

CONNECT_TIMEOUT_S = 5.0


def local_only(source: str | Path) -> bool:
    """Whether a checkpoint must be loaded from disk: it is a folder, or the hub cannot be reached."""
    return isinstance(source, Path) or Path(source).is_dir() or not hub_is_reachable()


@functools.cache
def hub_is_reachable() -> bool:
    """Whether the hub answers, found out once; the hub's own client retries for half a minute, with a page of log."""
    from huggingface_hub import constants  # noqa: PLC0415  (a local folder needs no hub)

    if constants.HF_HUB_OFFLINE:
        return False
    if getproxies():
        return True  # behind a proxy a direct connection proves nothing
    address = urlsplit(constants.ENDPOINT)
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), timeout=CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def checkpoint_file(checkpoint: str | Path, name: str) -> Path | None:
    """Path of a checkpoint's file, in its folder or in the hub's cache; None where it has none."""
    if Path(checkpoint).is_dir():
        path = Path(checkpoint) / name
        return path if path.is_file() else None
    from huggingface_hub import hf_hub_download  # noqa: PLC0415  (a local folder needs no hub)

    try:
        return Path(hf_hub_download(str(checkpoint), name, local_files_only=local_only(checkpoint)))
    except Exception:
        return None


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") + "." if lines else f"{type(error).__name__}."
