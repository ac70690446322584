"""From bytes to lines of text: the encoding is known, named or refused, never guessed."""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator, Iterable, Iterator
from typing import BinaryIO

from shared.errors import ConfigError, DataFormatError
from shared.tables.options import TableOptions

BYTE_ORDER_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
OTHER_FILES = {
    b"PAR1": ("a Parquet file", "parquet"), b"ARROW1": ("an Arrow file", "arrow"),
    b"PK\x03\x04": ("a ZIP archive or a workbook", "xlsx"), b"\xd0\xcf\x11\xe0": ("a workbook of old Excel (.xls)", ""),
    b"\x1f\x8b": ("compressed a second time", ""), b"BZh": ("compressed by bzip2", ""),
    b"\xfd7zXZ": ("compressed by xz", ""), b"\x28\xb5\x2f\xfd": ("compressed by zstd", ""),
    b"SQLite format 3": ("an SQLite database", ""), b"%PDF-": ("a PDF", ""),
}  # fmt: skip
"""First bytes -> what is no text, and the format to name where such files are read."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
BLOCK_BYTES = 2**16
_UNREADABLE = re.compile("[\x00\udc80-\udcff]")
_UTF16_HINT = "If it is UTF-16 without a byte order mark, give {} utf-16-le."


def check_is_text(sample: bytes, name: str, options: TableOptions) -> None:
    """Refuse what is known to be no table of text by its first bytes.

    Raises:
        DataFormatError: says what it is.
    """
    if sample.startswith(LFS_POINTER):
        raise DataFormatError(f"{name} is a pointer of Git LFS and not the file itself.", hint="Run: git lfs pull")
    for magic, (called, form) in OTHER_FILES.items():
        if sample.startswith(magic) and (b"\0" in sample or not sample.isascii()):
            hint = f"Name it so, or give {options.key('format')} {form}." if form else "Unpack or export it first."
            raise DataFormatError(f"{name} is {called}, by its first bytes, and was to be read as text.", hint=hint)


def find_encoding(sample: bytes, name: str, options: TableOptions) -> tuple[str, int, list[str]]:
    """The encoding of a text file, the bytes of its byte order mark, and notes about the choice.

    Args:
        sample: its first bytes.
        name: its name, for messages.
        options: where the user may have named the encoding.

    Raises:
        ConfigError: for an encoding that Python does not know.
        DataFormatError: when the byte order mark is that of another encoding than the one named.
    """
    marked, skip = next(((found, len(mark)) for mark, found in BYTE_ORDER_MARKS if sample.startswith(mark)), ("", 0))
    if options.encoding is None:
        notes = [f"{name} is {marked.upper()}, by its byte order mark"] if marked not in ("", "utf-8") else []
        return marked or "utf-8", skip, notes
    try:
        wanted = codecs.lookup(options.encoding).name
        "".encode(wanted)  # a codec such as base64 is no encoding of text
    except LookupError:
        raise ConfigError(
            f"{options.key('encoding')} is '{options.encoding}', which is no encoding that Python knows.",
            hint="Usual ones are utf-8, utf-16, cp1252 (Windows, western), latin-1, cp1251 (Cyrillic), gb18030, "
            "shift_jis.",
        ) from None
    if marked and not _agree(wanted, marked):
        raise DataFormatError(
            f"{name} starts with the byte order mark of {marked.upper()}, and {options.key('encoding')} says "
            f"'{options.encoding}'.",
            hint=f"Leave {options.key('encoding')} out.",
        )
    notes = []
    if not marked and not wanted.startswith("utf") and _is_utf8(sample):
        notes = [f"{name} is read as {options.encoding}, as said, though all its bytes are valid UTF-8 too"]
    return (marked or wanted), skip, notes


def _agree(wanted: str, marked: str) -> bool:
    """Whether the encoding named can have that byte order mark."""
    return marked.startswith(wanted.removesuffix("-sig")) or wanted.removesuffix("-sig") == marked


def _is_utf8(sample: bytes) -> bool:
    """Whether bytes beyond ASCII are there and all of them form UTF-8; the last may be cut."""
    if sample.isascii():
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def decoded_blocks(
    stream: BinaryIO, name: str, encoding: str, skip: int, options: TableOptions, *, cut: bool = False
) -> Iterator[str]:
    """Text in blocks; where the reader is tolerant, bytes that are no text stay as what `unreadable` finds.

    Args:
        stream: the bytes.
        name: of the file, for messages.
        encoding: of the bytes.
        skip: bytes of a byte order mark.
        options: for messages.
        cut: whether the bytes may end within a character.

    Raises:
        DataFormatError: for a byte that the encoding does not have, or NUL; names line and byte offset.
    """
    keep = options.tolerant and not encoding.startswith(("utf-16", "utf-32"))  # those cannot go on after a wrong byte
    decoder = codecs.getincrementaldecoder(encoding)("surrogateescape" if keep else "strict")
    stream.read(skip)
    offset, line = skip, 1
    while True:
        block = stream.read(BLOCK_BYTES)
        kept = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block, final=not block and not cut)
        except UnicodeDecodeError as error:
            raise _wrong_byte(error, offset - kept, line, name=name, encoding=encoding, options=options) from None
        if "\0" in text and not keep:
            raise _nul(line + text[: text.index("\0")].count("\n"), name, encoding, options)
        offset += len(block)
        line += text.count("\n")
        if text:
            yield text
        if not block:
            return


def unreadable(text: str, encoding: str) -> str | None:
    """What is no text in a row that was decoded tolerantly, as the reason to leave it out; None for most rows."""
    found = _UNREADABLE.search(text)
    if found is None:
        return None
    called = {"utf-8": "UTF-8"}.get(encoding, encoding)
    return "holds a NUL character" if found[0] == "\0" else f"byte 0x{ord(found[0]) - 0xDC00:02x} is not {called}"


def lines_of(blocks: Iterable[str], end: str = "\n") -> Generator[str, None, None]:
    """Lines with their ends; LF alone ends a line, as other separators of Unicode may stand within a text.

    Args:
        blocks: the text in pieces.
        end: of a line.
    """
    begun: list[str] = []
    for block in blocks:
        pieces = block.split(end)
        if len(pieces) > 1:
            begun.append(pieces[0])
            yield "".join(begun) + end
            begun = []
            for piece in pieces[1:-1]:
                yield piece + end
        if pieces[-1]:
            begun.append(pieces[-1])
    if begun:
        yield "".join(begun)


def _wrong_byte(
    error: UnicodeDecodeError, start: int, line: int, *, name: str, encoding: str, options: TableOptions
) -> DataFormatError:
    before = error.object[: error.start].decode(encoding, "replace")
    byte = error.object[error.start]
    hint = (
        f"If it is Windows-1252, give {options.key('encoding')} cp1252; other encodings likewise."
        if encoding.startswith("utf-8")
        else f"Give {options.key('encoding')} its real encoding."
    )
    if b"\0" in error.object:
        hint = _UTF16_HINT.format(options.key("encoding"))
    called = {"utf-8": "UTF-8"}.get(encoding, encoding)
    return DataFormatError(
        f"{name} is not {called}: byte 0x{byte:02x} in line {line + before.count(chr(10))}, "
        f"byte offset {start + error.start}.",
        hint=hint,
    )


def _nul(line: int, name: str, encoding: str, options: TableOptions) -> DataFormatError:
    return DataFormatError(
        f"{name}, line {line}: holds a NUL character, which no text has (read as {encoding}).",
        hint=_UTF16_HINT.format(options.key("encoding")),
    )
