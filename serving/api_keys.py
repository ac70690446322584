"""API keys: several at a time, compared in constant time, rotated by editing a file."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from shared.errors import ConfigError, UnauthorizedError

logger = logging.getLogger("emotion.keys")

CHECK_EVERY_S = 1.0
"""Shortest time between two looks at the key file."""


class ApiKeys:
    """The keys that open the service; everybody may come in when there are none at all.

    Args:
        keys: fixed keys.
        file: one key a line, `#` starts a comment; read again when it changes.
        clock: monotonic time in seconds.

    Raises:
        ConfigError: when the file cannot be read, or holds no key.
    """

    def __init__(
        self, keys: Iterable[str] = (), file: Path | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fixed = _digests(keys)
        self._file = file
        self._clock = clock
        self._looked = clock()
        self._version: tuple[int, int] | None = None
        self._from_file: tuple[bytes, ...] = ()
        if file is not None:
            try:
                self._read(file)
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"the API key file {file} cannot be read: {error}.") from None
            if not self._from_file:
                raise ConfigError(f"the API key file {file} holds no key.", hint="Write one key a line.")

    @property
    def needed(self) -> bool:
        """Whether a key is asked for at all."""
        return bool(self._fixed) or self._file is not None

    def check(self, headers: Mapping[str, str]) -> None:
        """Let a request with a valid key pass.

        Raises:
            UnauthorizedError: when the key is missing or wrong.
        """
        if not self.needed:
            return
        self._refresh()
        given = headers.get("x-api-key", "")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if not given and scheme.lower() == "bearer":
            given = token.strip()
        digest = _digest(given)
        matches = [hmac.compare_digest(digest, known) for known in (*self._fixed, *self._from_file)]
        if not any(matches):
            raise UnauthorizedError(
                "the API key is wrong." if given else "an API key is needed.",
                hint="Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
            )

    def _refresh(self) -> None:
        if self._file is None or self._clock() - self._looked < CHECK_EVERY_S:
            return
        self._looked = self._clock()
        try:
            self._read(self._file)
        except (OSError, UnicodeDecodeError):
            logger.exception("the API key file cannot be read; the keys known before stay")

    def _read(self, file: Path) -> None:
        status = file.stat()
        version = (status.st_mtime_ns, status.st_size)
        if version == self._version:
            return
        lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
        self._from_file = _digests(lines)
        self._version = version


def _digest(key: str) -> bytes:
    """A fixed-length stand-in, so that comparing takes the same time for keys of every length."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _digests(keys: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(_digest(key.strip()) for key in keys if key.strip())
