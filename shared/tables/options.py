"""What a user can say about a table, and the format that the name of its file tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from shared.errors import ConfigError

Format = Literal["csv", "tsv", "jsonl", "json", "parquet", "arrow", "xlsx", "txt"]
Quoting = Literal["csv", "escaped", "none"]

FORMATS: dict[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json",
    ".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow", ".xlsx": "xlsx", ".xlsm": "xlsx",
    ".txt": "txt",
}  # fmt: skip
"""The format that a suffix stands for; `.gz` may follow any of them."""
PACKED = ".gz"
COMPRESSED: tuple[Format, ...] = ("parquet", "xlsx")
"""Formats that compress what they hold."""

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "\\t": "\t"}
"""Words for separators that a shell does not pass on easily."""


@dataclass(frozen=True)
class TableOptions:
    """What is said about a table; None where it is to be found out.

    Attributes:
        format: csv, tsv, jsonl, json, parquet, arrow, xlsx or txt; by the suffix of the file when None.
        encoding: of a text file, by its name in Python; UTF-8, or what a byte order mark says, when None.
        separator: between the columns of a delimited file.
        header: whether the first row holds the names of the columns.
        columns: their names, in place of the header's or where there is none.
        sheet: of a workbook, by name or by number from 1; the only one when None.
        quoting: "csv" where quotes enclose cells and are doubled within, "escaped" where a backslash stands before them
            there, "none" where they are plain characters.
        prefix: what stands before the name of an option in messages.
        tolerant: whether rows that cannot be read are left out and told of in `Chunk.bad`, in place of an error.
    """

    format: Format | None = None
    encoding: str | None = None
    separator: str | None = None
    header: bool | None = None
    columns: tuple[str, ...] | None = None
    sheet: str | None = None
    quoting: Quoting | None = None
    prefix: str = "data."
    tolerant: bool = False

    def key(self, name: str) -> str:
        """An option as the user writes it."""
        return f"{self.prefix}{name}"

    def separator_character(self) -> str | None:
        """The separator as one character.

        Raises:
            ConfigError: when it is longer.
        """
        if self.separator is None:
            return None
        found = SEPARATORS.get(self.separator.lower(), self.separator)
        if len(found) != 1 or found in '"\r\n':
            raise ConfigError(
                f"{self.key('separator')} is {self.separator!r}; it must be one character, or one of "
                f"{', '.join(word for word in SEPARATORS if word.isalpha())}."
            )
        return found


def unpacked(name: str) -> str:
    """The name of a file without `.gz`."""
    return name[: -len(PACKED)] if is_packed(name) else name


def is_packed(name: str) -> bool:
    """Whether a file is compressed as a whole, by its name."""
    return name.lower().endswith(PACKED)


def named_format(name: str) -> Format | None:
    """The format that the suffix of a file's name, or the one before `.gz`, stands for; None for no such suffix."""
    return FORMATS.get(PurePosixPath(unpacked(name)).suffix.lower())


def format_of(path: Path, options: TableOptions) -> Format:
    """The format of a file: the one said, or that of its suffix; a `.txt` with a separator is a delimited file.

    Raises:
        ConfigError: for an unknown suffix.
    """
    found = options.format or named_format(path.name)
    if found is None:
        raise ConfigError(
            f"cannot tell the format of {path}: allowed suffixes are {', '.join(FORMATS)}, each also with .gz.",
            hint=f"Name it so, or give {options.key('format')}.",
        )
    delimited = options.separator is not None or options.columns is not None or options.header is not None
    return "csv" if found == "txt" and delimited and options.format is None else found
