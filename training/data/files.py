"""Reading text files: where they were looked for when they are missing, which byte is wrong when they are not UTF-8."""

from __future__ import annotations

import codecs
from pathlib import Path

from shared.errors import DataFormatError, DataNotFoundError, EmptyDataError


def existing(path: Path, what: str, how: str) -> Path:
    """`path`, if it exists.

    Args:
        path: where to look.
        what: what is looked for, for the message.
        how: how to get it, for the message.

    Raises:
        DataNotFoundError: when nothing is there.
    """
    if not path.exists():
        raise DataNotFoundError(f"{what} not found: looked for {path.absolute()}.", hint=how)
    return path


def read_text(path: Path) -> str:
    """The whole of a UTF-8 file, without a byte order mark.

    Raises:
        DataFormatError: when the bytes are not UTF-8; names file, line and byte offset (both of the first bad byte).
        EmptyDataError: when the file has no content.
    """
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataFormatError(
            f"{path} is UTF-16, not UTF-8 (line 1, byte offset 0).", hint="Save it as UTF-8 and try again."
        )
    start = len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0
    try:
        text = content[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        offset = start + error.start
        line = content.count(b"\n", 0, offset) + 1
        raise DataFormatError(
            f"{path} is not UTF-8: byte 0x{content[offset]:02x} in line {line}, byte offset {offset}.",
            hint=f"Convert it first, for example: iconv -f WINDOWS-1252 -t UTF-8 {path.name} > new-{path.name}",
        ) from None
    if not text.strip():
        raise EmptyDataError(f"{path} is empty.")
    return text


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 file ended by LF or CRLF alone: other separators of Unicode may stand within a text.

    Raises:
        DataFormatError: when the bytes are not UTF-8.
        EmptyDataError: when the file has no content.
    """
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines
