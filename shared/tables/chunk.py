"""Some rows of a table, as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Chunk:
    """Rows of a table as columns.

    Attributes:
        columns: N values of every column; None for a missing one.
        name: of the file, for messages.
        numbers: N numbers: the line in which a row begins, or the number of the row where a file has no lines.
        unit: "line" or "row": what the numbers count, from 1.
        json: the N objects as they are written in a JSON file.
        arrow: the rows as Arrow's record batch, of Parquet and Arrow files.
    """

    columns: Mapping[str, list[Any]]
    name: str
    numbers: Sequence[int]
    unit: str = "line"
    json: Sequence[str] | None = None
    arrow: Any = None

    def __len__(self) -> int:
        return len(self.numbers)

    def where(self, row: int) -> str:
        """File and line of a row of this chunk."""
        return f"{self.name}, {self.unit} {self.numbers[row]}"
