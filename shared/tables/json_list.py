"""The values of one long JSON list, one by one, without holding the list."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from shared.errors import DataFormatError

_SPACE = re.compile(r"[ \t\r\n]*")
_MAY_BE_CUT = 16
"""Characters before the end of what is read in which an error may come from the cut."""


class JsonList:
    """Reads `[value, value, ...]` from blocks of text.

    Args:
        blocks: the text, in pieces.
        decoder: of the values.
        name: of the file, for messages.
    """

    def __init__(self, blocks: Iterator[str], decoder: json.JSONDecoder, name: str) -> None:
        self._blocks, self._decoder, self._name = blocks, decoder, name
        self._buffer, self._place = "", 0

    def values(self) -> Iterator[tuple[Any, str]]:
        """Every value with its text.

        Raises:
            DataFormatError: when it is no list, or not valid JSON; names the row.
        """
        number = 0
        if self._mark() != "[":
            raise DataFormatError(f"{self._name}: not valid JSON (a list is expected).")
        self._place += 1
        while self._mark() != "]":
            number += 1
            yield self._value(number)
            if self._mark() == ",":
                self._place += 1
                if self._mark() != "]":
                    continue
            elif self._mark() == "]":
                break
            raise DataFormatError(f"{self._name}, row {number}: not valid JSON (',' or ']' expected after it).")
        self._place += 1
        if self._mark():
            raise DataFormatError(f"{self._name}: not valid JSON (content after the end of the list).")

    def _mark(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            match = _SPACE.match(self._buffer, self._place)
            self._place = match.end() if match else self._place
            if self._place < len(self._buffer):
                return self._buffer[self._place]
            self._buffer, self._place = next(self._blocks, ""), 0
            if not self._buffer:
                return ""

    def _value(self, number: int) -> tuple[Any, str]:
        wanted = 1
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._place)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos >= len(self._buffer) - _MAY_BE_CUT
                further = "".join(islice(self._blocks, wanted)) if cut else ""
                if not further:
                    raise DataFormatError(f"{self._name}, row {number}: not valid JSON ({error.msg}).") from None
                self._buffer, self._place = self._buffer[self._place :] + further, 0
                wanted *= 2
            except (ValueError, RecursionError) as error:
                raise DataFormatError(f"{self._name}, row {number}: not valid JSON ({error}).") from None
            else:
                text = self._buffer[self._place : end]
                self._place = end
                return value, text
