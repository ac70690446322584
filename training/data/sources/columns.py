"""Which column of a table is the text, and which hold the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.errors import DataFormatError
from training.config.data import SourceConfig
from training.data.sources.tabular import Table

TEXT_NAMES = (
    ("text", "sentence", "content", "utterance"),
    ("tweet", "comment", "message", "post", "body", "review", "document", "texts"),
)
LABEL_NAMES = (
    ("label", "labels", "emotion", "emotions"),
    ("category", "categories", "class", "classes", "target", "targets", "sentiment", "tags"),
)
"""Names in two tiers: the second counts where none of the first is there."""
ID_NAMES = ("id", "idx", "index", "row_id", "uid", "")
BINARY = {"0", "1", "0.0", "1.0", "true", "false"}


@dataclass(frozen=True)
class Columns:
    """The columns of a table that matter; `labels` are several names for one 0/1 column per label."""

    text: str
    labels: tuple[str, ...]
    one_hot: bool
    id: str | None

    def described(self, form: str) -> str:
        """The choice in words."""
        names = ", ".join(f"'{name}'" for name in self.labels)
        return f"text column '{self.text}', label column{'s' if len(self.labels) > 1 else ''} {names} ({form})"


def find_columns(table: Table, source: SourceConfig) -> Columns:
    """Find the columns of text and labels, or take the ones named.

    Raises:
        DataFormatError: when a named column is not there, or there is no candidate, or more than one; lists them.
    """
    labels, one_hot = _label_columns(table, source)
    text = _named(table, source.text_column) if source.text_column else _text_column(table, labels)
    identity = next((name for name in table.columns if name.lower() in ID_NAMES and name not in (text, *labels)), None)
    return Columns(text, labels, one_hot, identity)


def _named(table: Table, name: str) -> str:
    if name not in table.columns:
        raise DataFormatError(f"{table.path} has no column '{name}'; it has {', '.join(table.columns)}.")
    return name


def _label_columns(table: Table, source: SourceConfig) -> tuple[tuple[str, ...], bool]:
    """The label columns, and whether they are 0/1 columns."""
    if source.label_column in table.columns:
        return (str(source.label_column),), False
    if source.label_column:
        names = tuple(_named(table, name.strip()) for name in source.label_column.split(","))
        return names, len(names) > 1
    by_name = _by_name(table, LABEL_NAMES)
    binary = [
        name
        for name in table.columns
        if name not in by_name and name.lower() not in ID_NAMES and _is_binary(table, name)
    ]
    if len(by_name) > 1 or (by_name and len(binary) > 1):
        raise _ambiguous(table, "label", [*by_name, *binary])
    if by_name:
        return (by_name[0],), False
    if len(binary) > 1:
        return tuple(binary), True
    raise DataFormatError(
        f"no label column found in {table.path}: none of its columns ({', '.join(table.columns)}) has a name such as "
        f"{', '.join(LABEL_NAMES[0])}, and they are not 0/1 columns.",
        hint="Name it with data.label_column.",
    )


def _text_column(table: Table, labels: Sequence[str]) -> str:
    found = [name for name in _by_name(table, TEXT_NAMES) if name not in labels]
    if not found:
        found = [name for name in table.columns if name not in labels and _is_prose(table.columns[name])]
    if len(found) == 1:
        return found[0]
    if found:
        raise _ambiguous(table, "text", found)
    raise DataFormatError(
        f"no text column found in {table.path}; its columns are {', '.join(table.columns)}.",
        hint="Name it with data.text_column.",
    )


def _by_name(table: Table, tiers: Sequence[Sequence[str]]) -> list[str]:
    for names in tiers:
        found = [column for column in table.columns if column.lower() in names]
        if found:
            return found
    return []


def _is_binary(table: Table, name: str) -> bool:
    values = {str(value).strip().lower() for value in table.columns[name] if value is not None}
    return bool(values) and values <= BINARY


def _is_prose(values: Sequence[Any]) -> bool:
    """Whether most values are texts of several words."""
    several = sum(isinstance(value, str) and len(value.split()) > 1 for value in values)
    return several * 2 > len(values)


def _ambiguous(table: Table, what: str, found: Sequence[str]) -> DataFormatError:
    return DataFormatError(
        f"{table.path} has several columns that may be the {what}: {', '.join(found)}.",
        hint=f"Name the right one with data.{what}_column.",
    )
