"""Conversations in tables: the turns before each row, and the course of its labels, smoothed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.bundle import Bundle
from shared.context import MOST_TURNS, Context, Turn, read_cell
from shared.errors import ConfigError, DataFormatError
from shared.smoothing import ExponentialSmoothing
from shared.tables import Chunk, Table
from shared.tables.values import to_text

SMOOTHED = "smoothed_"
"""Before the name of a label: column of its smoothed probability."""


@dataclass
class TableTurns:
    """Where the previous turns of a table's rows are, and where its conversation stands; chunks go through in order.

    Args:
        text_column: of the texts.
        context_column: of their previous turns; None where they are the rows before.
        dialogue_column: whose rows stand together, in the order of the turns.
        speaker_column: of who speaks, with `dialogue_column`.
        smoothing: weight of the turns before in the added columns; None adds none.

    Raises:
        ConfigError: for columns that do not go together.
    """

    text_column: str
    context_column: str | None = None
    dialogue_column: str | None = None
    speaker_column: str | None = None
    smoothing: float | None = None
    _dialogue: str | None = None
    _history: deque[Turn] = field(default_factory=lambda: deque(maxlen=MOST_TURNS))
    _seen: set[int] = field(default_factory=set)
    _begins: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.context_column and self.dialogue_column:
            raise ConfigError(
                "--context and --dialogue are both given.",
                hint="Previous turns stand in a column (--context), or are the rows before (--dialogue).",
            )
        if not self.dialogue_column and (self.speaker_column or self.smoothing is not None):
            raise ConfigError("--speaker and --smooth go with --dialogue.")
        self._smoother = None if self.smoothing is None else ExponentialSmoothing(self.smoothing)

    def check(self, table: Table, bundle: Bundle) -> list[str]:
        """Notes on how the table is read.

        Raises:
            DataFormatError: when the table lacks a column that is named.
            ConfigError: when the bundle reads no previous turns, and nothing is smoothed.
        """
        for name in (self.context_column, self.dialogue_column, self.speaker_column):
            if name is not None and name not in table.columns:
                raise DataFormatError(f"{table.name} has no column '{name}' (columns: {', '.join(table.columns)}).")
        if bundle.manifest.context is not None:
            return []
        if self._smoother is None:
            raise ConfigError(
                "the bundle was trained without previous turns, and would not read them.",
                hint="Leave --context and --dialogue out, or train with: --data.context_turns 3",
            )
        return ["the bundle reads no previous turns: each row is read alone, and its probabilities are smoothed"]

    def added(self, labels: Sequence[str]) -> list[str]:
        """Names of the added columns."""
        return [] if self._smoother is None else [f"{SMOOTHED}{name}" for name in labels]

    def before(self, chunk: Chunk, texts: Sequence[str]) -> list[Context]:
        """The turns before each row of the next chunk.

        Raises:
            DataFormatError: for a cell that holds no turns, or a dialogue whose rows do not stand together.
        """
        if self.context_column is not None:
            cells = chunk.columns.get(self.context_column) or [None] * len(chunk)
            return [self._cell(cell, chunk, row) for row, cell in enumerate(cells)]
        dialogues = chunk.columns.get(str(self.dialogue_column)) or [None] * len(chunk)
        speakers = chunk.columns.get(self.speaker_column or "") or [None] * len(chunk)
        found = []
        self._begins = []
        for row, (dialogue, speaker, text) in enumerate(zip(dialogues, speakers, texts, strict=True)):
            self._begins.append(self._enter(to_text(dialogue).strip(), chunk, row))
            found.append(tuple(self._history))
            if text.strip():
                self._history.append(Turn(text, to_text(speaker).strip() or None))
        return found

    def _cell(self, cell: Any, chunk: Chunk, row: int) -> Context:
        try:
            return tuple(turn for turn in read_cell(cell) if turn.text.strip())[-MOST_TURNS:]
        except ValueError as error:
            raise DataFormatError(f"{chunk.where(row)}, column '{self.context_column}': {error}.") from None

    def _enter(self, dialogue: str, chunk: Chunk, row: int) -> bool:
        """Whether the row begins a dialogue; one without a name is a dialogue of its own."""
        if dialogue and dialogue == self._dialogue:
            return False
        self._dialogue = dialogue
        self._history.clear()
        if dialogue:
            if hash(dialogue) in self._seen:
                raise DataFormatError(
                    f"{chunk.where(row)}: dialogue '{dialogue[:40]}' goes on after rows of another one.",
                    hint="Sort the table by dialogue, with the turns of each in their order.",
                )
            self._seen.add(hash(dialogue))
        return True

    def smoothed(self, labels: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """The added columns of the same chunk, of its predicted ones; null where a row has no prediction."""
        if self._smoother is None:
            return {}
        rows: list[list[float | None]] = []
        for row, begins in enumerate(self._begins):
            if begins:
                self._smoother.begin()
            p = [columns[f"p_{name}"][row] for name in labels]
            rows.append([None] * len(labels) if p[0] is None else self._smoother.next(p).tolist())
        return {f"{SMOOTHED}{name}": [row[place] for row in rows] for place, name in enumerate(labels)}
