"""API keys: several at a time, compared in constant time, rotated by editing a file."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from serving.settings import PREFIX, Settings
from shared.errors import ConfigError, UnauthorizedError

logger = logging.getLogger("emotion.keys")

CHECK_EVERY_S = 1.0
"""Shortest time between two looks at the key file."""


class WrongKeyError(UnauthorizedError):
    """A key was given that is not one of the service's."""


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
        self._unreadable = False
        self._from_file: tuple[bytes, ...] = ()
        if file is not None:
            try:
                self._read(file)
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise ConfigError(f"the API key file {file} cannot be read: {reason}.") from None
            if not self._from_file:
                raise ConfigError(f"the API key file {file} holds no key.", hint="Write one key a line.")

    @property
    def needed(self) -> bool:
        """Whether a key is asked for at all."""
        return bool(self._fixed) or self._file is not None

    def check(self, headers: Mapping[str, str]) -> None:
        """Let a request with a valid key pass.

        Raises:
            UnauthorizedError: when the key is missing; WrongKeyError when it is wrong.
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
            hint = "Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`."
            if given:
                raise WrongKeyError("the API key is wrong.", hint=hint)
            raise UnauthorizedError("an API key is needed.", hint=hint)

    def _refresh(self) -> None:
        if self._file is None or self._clock() - self._looked < CHECK_EVERY_S:
            return
        self._looked = self._clock()
        try:
            self._read(self._file)
        except (OSError, UnicodeDecodeError):
            if not self._unreadable:
                logger.exception("the API key file cannot be read; the keys known before stay")
            self._unreadable = True
        else:
            self._unreadable = False

    def _read(self, file: Path) -> None:
        status = file.stat()
        version = (status.st_mtime_ns, status.st_size)
        if version == self._version:
            return
        lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
        before, self._from_file = self._from_file, _digests(lines)
        if self._version is not None:
            logger.info(
                "the API key file was read again: it holds %d keys, before %d", len(self._from_file), len(before)
            )
            if not self._from_file:
                logger.error("the API key file %s holds no key any more: whoever has no other key is refused", file)
        self._version = version


def api_keys(settings: Settings) -> ApiKeys:
    """The keys that the settings name.

    Raises:
        ConfigError: when there are some and none is a key, or their file cannot be read, or holds none.
    """
    keys = settings.api_keys.get_secret_value()
    if keys and not _digests(keys.split(",")):
        raise ConfigError(
            f"{PREFIX}API_KEYS holds no key, so that everybody could come in.",
            hint="Give keys with commas between them, or nothing at all to ask for none.",
        )
    return ApiKeys(keys.split(","), settings.api_key_file)


def _digest(key: str) -> bytes:
    """A fixed-length stand-in, so that comparing takes the same time for keys of every length."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _digests(keys: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(_digest(key.strip()) for key in keys if key.strip())
