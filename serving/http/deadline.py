"""How long a request may take."""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import InvalidInputError

TIMEOUT_HEADER = "x-request-timeout-ms"


def timeout_s(headers: Mapping[str, str], most_ms: int) -> float:
    """Seconds for one request: those its header asks for, `most_ms` at most and by default.

    Raises:
        InvalidInputError: when the header is not a whole number of milliseconds.
    """
    asked = headers.get(TIMEOUT_HEADER)
    if asked is None:
        return most_ms / 1000
    if not (asked.isascii() and asked.isdigit() and len(asked) < 10 and int(asked) > 0):
        raise InvalidInputError(f"{TIMEOUT_HEADER} must be a whole number of milliseconds, 1 to {most_ms}.")
    return min(int(asked), most_ms) / 1000
