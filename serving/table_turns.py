"""Conversations in tables: the turns before each row, and the course of its labels, smoothed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.http.schemas import can_be_read
from shared.bundle import Bundle
from shared.context import MOST_TURNS, Context, Turn, read_cell
from shared.errors import ConfigError, DataFormatError
from shared.smoothing import ExponentialSmoothing
from shared.tables import Chunk
from shared.tables.chunk import joined
from shared.tables.values import name_in

SMOOTHED = "smoothed_"
"""Before the name of a label: column of its smoothed probability."""


@dataclass(frozen=True)
class TurnColumns:
    """Where the previous turns of a table's rows are.

    Args:
        context: column of them; None where they are the rows before.
        dialogue: column of the dialogue, whose rows stand together, in the order of the turns.
        speaker: with `dialogue`: column of who speaks.
        smoothing: with `dialogue`: weight of the turns before in the added columns; None adds none.

    Raises:
        ConfigError: for columns that do not go together.
    """

    context: str | None = None
    dialogue: str | None = None
    speaker: str | None = None
    smoothing: float | None = None

    def __post_init__(self) -> None:
        if self.context and self.dialogue:
            raise ConfigError(
                "--context and --dialogue are both given.",
                hint="Previous turns stand in a column (--context), or are the rows before (--dialogue).",
            )
        if not self.dialogue and (self.speaker or self.smoothing is not None):
            raise ConfigError("--speaker and --smooth go with --dialogue.")
        self.smoother()

    def smoother(self) -> ExponentialSmoothing | None:
        """What smooths the rows of one dialogue after the other; None where nothing does."""
        return None if self.smoothing is None else ExponentialSmoothing(self.smoothing)

    def check(self, bundle: Bundle) -> list[str]:
        """Notes on how a bundle reads them.

        Raises:
            ConfigError: when it reads no previous turns, and nothing is smoothed, or when it answers intensities.
        """
        if bundle.readout is not None:
            raise ConfigError("--context, --dialogue and --smooth do not go with a model of intensities.")
        if bundle.manifest.context is not None:
            return []
        if self.smoothing is None:
            raise ConfigError(
                "the bundle was trained without previous turns, and would not read them.",
                hint="Leave --context and --dialogue out, or train with: --data.context_turns 3",
            )
        return ["the bundle reads no previous turns: each row is read alone, and its probabilities are smoothed"]

    def added(self, labels: Sequence[str]) -> list[str]:
        """Names of the added columns."""
        return [] if self.smoothing is None else [f"{SMOOTHED}{name}" for name in labels]


@dataclass(frozen=True)
class Turns:
    """What stands before N rows.

    Attributes:
        contexts: the turns before each, the oldest first.
        begins: whether each begins a dialogue.
    """

    contexts: Sequence[Context]
    begins: Sequence[bool]


class TurnReader:
    """Where the conversations of one table stand; its chunks go through in order.

    Args:
        columns: where the turns are.
    """

    def __init__(self, columns: TurnColumns) -> None:
        self._columns = columns
        self._dialogue: str | None = None
        self._history: deque[Turn] = deque(maxlen=MOST_TURNS)
        self._seen: set[int] = set()

    def before(self, chunk: Chunk, texts: Sequence[str]) -> Turns:
        """What stands before each row of the next chunk.

        Raises:
            DataFormatError: for a cell that holds no turns, or a dialogue whose rows do not stand together.
        """
        if self._columns.context is not None:
            cells = chunk.columns.get(self._columns.context) or [None] * len(chunk)
            return Turns([self._cell(cell, chunk, row) for row, cell in enumerate(cells)], [True] * len(chunk))
        speakers = chunk.columns.get(self._columns.speaker or "") or [None] * len(chunk)
        dialogues = dialogues_of(chunk, str(self._columns.dialogue))
        contexts, begins = [], []
        for row, (dialogue, speaker, text) in enumerate(zip(dialogues, speakers, texts, strict=True)):
            begins.append(self._enter(dialogue, chunk, row))
            contexts.append(tuple(self._history))
            if can_be_read(turn := Turn(text, name_in(speaker) or None)):
                self._history.append(turn)
        return Turns(contexts, begins)

    def _cell(self, cell: Any, chunk: Chunk, row: int) -> Context:
        try:
            return tuple(filter(can_be_read, read_cell(cell)))[-MOST_TURNS:]
        except ValueError as error:
            raise DataFormatError(f"{chunk.where(row)}, column '{self._columns.context}': {error}.") from None

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


def dialogues_of(chunk: Chunk, column: str) -> list[str]:
    """Name of the dialogue of each row; a row without one is a dialogue of its own."""
    return [name_in(value) for value in chunk.columns.get(column) or [None] * len(chunk)]


def whole_dialogues(chunks: Iterable[Chunk], column: str) -> Iterator[Chunk]:
    """The same rows in chunks that end where a dialogue does; a longer dialogue makes a longer chunk.

    Args:
        chunks: of one table, in order.
        column: of the dialogue.
    """
    held: list[Chunk] = []
    before = ""
    for chunk in chunks:
        names = dialogues_of(chunk, column)
        starts = [row for row, (one, other) in enumerate(zip([before, *names], names, strict=False))
                  if not other or one != other]  # fmt: skip
        if starts and (held or starts[-1]):
            yield joined([*held, chunk.rows(0, starts[-1])] if starts[-1] else held)
            held = []
        held.append(chunk.rows(starts[-1], len(chunk)) if starts else chunk)
        before = names[-1] if names else before
    if held:
        yield joined(held)


def smoothed(
    smoother: ExponentialSmoothing, begins: Sequence[bool], labels: Sequence[str], columns: Mapping[str, Sequence[Any]]
) -> dict[str, list[Any]]:
    """The added columns of predicted rows; null where a row has no prediction.

    Args:
        smoother: where it stands after the rows before these.
        begins: whether each row begins a dialogue.
        labels: of the bundle.
        columns: of the rows' predictions.
    """
    rows: list[list[float | None]] = []
    for row, begin in enumerate(begins):
        if begin:
            smoother.begin()
        p = [columns[f"p_{name}"][row] for name in labels]
        rows.append([None] * len(labels) if p[0] is None else smoother.next(p).tolist())
    return {f"{SMOOTHED}{name}": [row[place] for row in rows] for place, name in enumerate(labels)}
