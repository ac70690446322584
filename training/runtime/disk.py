"""A full disk, whichever library meets it first."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from safetensors import SafetensorError

_SIGNS = {
    SafetensorError: ("No space left on device", "StorageFull"),
    RuntimeError: ("PytorchStreamWriter failed writing", "unexpected pos"),
}


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Inside the block a full disk is the OSError it is, also where safetensors or torch wrap it in their own."""
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        if any(isinstance(error, kind) and sign in str(error) for kind, signs in _SIGNS.items() for sign in signs):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise
